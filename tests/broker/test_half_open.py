"""Hosts that take connections and are no broker, or one only up to a point."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.faults.half_open import Manner, half_open
from tests.waiting import patience, until
from yarl import URL

from rabbitmq import Node
from tms_bridge.broker import Supervisor
from tms_bridge.broker.session import open_session
from tms_bridge.errors import BrokerError
from tms_bridge.metrics import PublishMetrics
from tms_bridge.settings.model import Amqp

GREETS = {Manner.CLOSE_AFTER_OPEN_OK, Manner.SILENT_AFTER_OPEN_OK}
"""Those that are a broker as far as a connection is concerned."""


async def attempt(port: int, timeout_s: float = 0.5) -> Any:
    url = URL(f"amqp://tms:secret@127.0.0.1:{port}/events")
    return await open_session(url, context=None, heartbeat_s=10, name="test", timeout_s=timeout_s)


@pytest.mark.parametrize("manner", [manner for manner in Manner if manner not in GREETS])
async def test_a_host_that_is_no_broker_is_said_to_be_none(manner: Manner) -> None:
    async with half_open(manner) as port:
        with pytest.raises(BrokerError) as failed:
            await attempt(port)
    text = str(failed.value)
    assert text.startswith(f"connect to amqp://127.0.0.1:{port}/events: ")
    assert "secret" not in text
    assert "object at 0x" not in text


@pytest.mark.parametrize("manner", sorted(GREETS))
async def test_a_host_that_only_greets_gives_no_channel(
    manner: Manner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tms_bridge.broker.session.CHANNEL_TIMEOUT_S", 0.5)
    async with half_open(manner) as port:
        session = await attempt(port, timeout_s=10.0)
        with pytest.raises(BrokerError, match="open a confirm channel"):
            await session.confirm_channel()
        await session.abort()


@pytest.fixture
def impatient() -> Iterator[pytest.MonkeyPatch]:
    """What a test makes short, and undoes before a broker has to answer that may be slow."""
    with pytest.MonkeyPatch.context() as context:
        yield context


@pytest.mark.parametrize("manner", Manner)
async def test_the_real_broker_is_found_once_it_is_there(
    bench: Any, proxy: Any, rabbitmq: Node, manner: Manner, impatient: pytest.MonkeyPatch
) -> None:
    await proxy.refuse()
    settings = Amqp(urls=(str(bench.url.with_port(proxy.port)),))
    supervisor = Supervisor(settings, PublishMetrics(CollectorRegistry()), structlog.get_logger())
    with capture_logs() as lines:
        async with half_open(manner, proxy.port):
            impatient.setattr("tms_bridge.broker.supervisor.QUICK_CONNECT_S", 1.0)
            impatient.setattr("tms_bridge.broker.topology.STEP_TIMEOUT_S", 1.0)
            impatient.setattr("tms_bridge.broker.session.CHANNEL_TIMEOUT_S", 1.0)
            connecting = asyncio.create_task(supervisor.connect())
            await until(lambda: "broker connection failed" in [line["event"] for line in lines])
            impatient.undo()
        await proxy.start()
        async with patience():
            publisher = await connecting
    assert rabbitmq.password not in str(lines)
    await publisher.close()


async def test_whatever_an_attempt_raises_is_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unforeseen(Exception):  # noqa: N818 - states the fact
        pass

    async def fail(*_: object, **__: object) -> None:
        raise Unforeseen("of a later version")

    monkeypatch.setattr("tms_bridge.broker.link.TapFactory.create", fail)
    with pytest.raises(BrokerError, match=r"events: Unforeseen: of a later version"):
        await attempt(1)


async def test_an_attempt_that_is_cancelled_is_cancelled() -> None:
    async with half_open(Manner.SILENT) as port:
        connecting = asyncio.create_task(attempt(port, timeout_s=30.0))
        await asyncio.sleep(0.05)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting


async def test_an_address_that_swallows_packets_costs_a_moment(
    bench: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as deaf, socket.socket() as filler:
        # A full backlog swallows what comes: the kernel answers no further packet.
        deaf.bind(("127.0.0.2", proxy.port))
        deaf.listen(0)
        filler.connect(("127.0.0.2", proxy.port))
        resolve = socket.getaddrinfo

        def both(host: str, *rest: Any, **more: Any) -> Any:
            if host != "broker.test":
                return resolve(host, *rest, **more)
            return [*resolve("127.0.0.2", *rest, **more), *resolve("127.0.0.1", *rest, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        loop = asyncio.get_running_loop()
        began = loop.time()
        # The deaf address alone would use up the time of every attempt.
        session = await bench.session(url=bench.url.with_host("broker.test").with_port(proxy.port))
        assert loop.time() - began > 0.2
        await session.abort()
