"""The supervisor against real brokers that come, go and are not what the configuration says."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aio_pika
import aiormq
import pytest
import structlog
from aio_pika.abc import AbstractConnection
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.administering import Alarm
from tests.waiting import PATIENCE_S, patience, until
from yarl import URL

from ports import free_port
from rabbitmq import Node
from tms_bridge.broker import Supervisor, topology
from tms_bridge.broker.publisher import PipelinedPublisher
from tms_bridge.broker.session import Session, open_session, place_of
from tms_bridge.broker.supervisor import QUICK_CONNECT_S, Backoff
from tms_bridge.broker.topology import Finding, Part
from tms_bridge.errors import BrokerError, PublisherClosed
from tms_bridge.message import Message, Outcome
from tms_bridge.metrics import PublishMetrics
from tms_bridge.settings.model import Amqp, Queue


def supervisor(*urls: Any, registry: CollectorRegistry | None = None, **overrides: Any) -> Supervisor:
    settings = Amqp(urls=tuple(str(url) for url in urls), **overrides)
    return Supervisor(settings, PublishMetrics(registry or CollectorRegistry()), structlog.get_logger())


def is_connected(watcher: Supervisor) -> bool:
    """Ask anew: mypy takes a property for unchanged between two statements."""
    return watcher.connected


def is_blocked(watcher: Supervisor) -> bool:
    """Ask anew, as above."""
    return watcher.blocked


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no attempt fail only because the machine is slow."""
    monkeypatch.setattr("tms_bridge.broker.supervisor.QUICK_CONNECT_S", PATIENCE_S)


async def lose(publisher: Any) -> PublisherClosed:
    async with patience():
        while True:
            try:
                await publisher.outcomes()
            except PublisherClosed as closed:
                return closed


async def test_connecting_declares_everything_that_is_configured(
    vhost: str, event: Callable[..., Message], collect: Any, bench: Any
) -> None:
    watcher = supervisor(vhost, queues=(Queue(name="crm", bindings=("tms.class.*",)),))
    publisher = await watcher.connect()
    assert is_connected(watcher)
    assert not is_blocked(watcher)
    assert watcher.topology_errors == ()
    publisher.publish(1, event(), "tms.events")
    publisher.publish(2, event(), "tms.unroutable")
    publisher.publish(3, event(), "tms.quarantine")
    assert await collect(publisher, 3) == dict.fromkeys([1, 2, 3], Outcome.CONFIRMED)
    assert [await bench.depth(name) for name in ("crm", "tms.unroutable", "tms.quarantine")] == [1, 1, 1]
    await publisher.close()
    assert not is_connected(watcher)


async def test_a_wrong_topology_is_told_and_no_outage(vhost: str, bench: Any) -> None:
    channel = await bench.channel()
    await channel.exchange_declare("tms.events", exchange_type="fanout")
    with capture_logs() as lines:
        watcher = supervisor(vhost)
        publisher = await watcher.connect()
    assert len(watcher.topology_errors) == 1
    assert watcher.topology_errors[0].startswith("exchange tms.events: different - ")
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "topology is not as configured"
    ]
    await publisher.close()


async def test_without_declare_a_missing_exchange_is_told_and_not_made(vhost: str, bench: Any) -> None:
    watcher = supervisor(vhost, declare=False)
    publisher = await watcher.connect()
    assert len(watcher.topology_errors) == 5
    with pytest.raises(aiormq.exceptions.ChannelNotFoundEntity):
        await (await bench.channel()).exchange_declare("tms.events", passive=True)
    await publisher.close()


async def test_a_connection_that_declaring_costs_is_made_anew_without(
    vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare = topology.apply

    async def cut(session: Session, parts: Sequence[Part]) -> list[Finding]:
        session.link.abort()
        return await declare(session, parts)

    monkeypatch.setattr(topology, "apply", cut)
    watcher = supervisor(vhost)
    publisher = await watcher.connect()
    assert len(watcher.topology_errors) == 1
    await publisher.close()


async def test_a_reset_is_followed_by_a_new_connection_at_once(bench: Any, proxy: Any, patient: None) -> None:
    del patient
    registry = CollectorRegistry()
    watcher = supervisor(bench.url.with_port(proxy.port), registry=registry)
    publisher = await watcher.connect()
    proxy.reset()
    await lose(publisher)
    assert not is_connected(watcher)
    with capture_logs() as lines:
        again = await watcher.connect()
    assert ["broker connected"] == [line["event"] for line in lines]
    assert registry.get_sample_value("tms_bridge_broker_reconnects_total") == 1
    await again.close()


async def test_after_a_reset_the_next_host_is_taken_without_asking_the_first(
    vhost: str, bench: Any, proxy: Any, patient: None
) -> None:
    del patient
    watcher = supervisor(bench.url.with_port(proxy.port), vhost)
    publisher = await watcher.connect()
    await proxy.refuse()
    await lose(publisher)
    with capture_logs() as lines:
        again = await watcher.connect()
    assert [("broker connected", place_of(bench.url))] == [(line["event"], line["broker"]) for line in lines]
    await again.close()


async def test_a_host_that_swallows_everything_does_not_keep_us_from_the_next(
    vhost: str, bench: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed_s: list[float] = []

    async def opened(url: URL, **settings: Any) -> Session:
        allowed_s.append(settings["timeout_s"])
        return await open_session(url, **settings)

    monkeypatch.setattr("tms_bridge.broker.supervisor.open_session", opened)
    monkeypatch.setattr("tms_bridge.broker.supervisor.QUICK_CONNECT_S", 1.0)
    proxy.swallow()
    watcher = supervisor(bench.url.with_port(proxy.port), vhost)
    with capture_logs() as lines:
        publisher = await watcher.connect()
    assert (1.0, True) == (allowed_s[0], lines[0]["reason"].endswith("no answer in time"))
    assert QUICK_CONNECT_S < 5
    await publisher.close()


async def test_an_absent_broker_is_waited_for(bench: Any, proxy: Any) -> None:
    await proxy.refuse()
    watcher = supervisor(bench.url.with_port(proxy.port))
    with capture_logs() as lines:
        connecting = asyncio.create_task(watcher.connect())
        await until(lambda: len(lines) == 2)
    assert not connecting.done()
    await proxy.start()
    async with patience():
        publisher = await connecting
    await publisher.close()


async def test_no_password_is_logged(vhost: str, bench: Any, rabbitmq: Node) -> None:
    wrong = bench.url.with_password("open-sesame")
    with capture_logs() as lines:
        watcher = supervisor(wrong, bench.url.with_port(free_port()), vhost)
        publisher = await watcher.connect()
    assert "open-sesame" not in str(lines)
    assert rabbitmq.password not in str(lines)
    assert "refused the user name or the password" in str(lines[0])
    await publisher.close()


async def test_the_brokers_operator_sees_our_name(vhost: str, rabbitmq: Node) -> None:
    publisher = await supervisor(vhost).connect()
    assert "tms-bridge@" in await asyncio.to_thread(rabbitmq.ctl, "list_connections", "client_properties")
    await publisher.close()


async def publish_into_alarm(watcher: Supervisor, alarm: Alarm, message: Message) -> PipelinedPublisher:
    """Publish under key 1 while the broker has a memory alarm; return when it has blocked the connection."""
    publisher = await watcher.connect()
    alarm.begin()
    publisher.publish(1, message, "tms.events")
    async with patience():
        while not is_blocked(watcher):
            assert await publisher.outcomes() == []
    return publisher


async def test_an_alarm_leaves_no_room_until_it_is_over(
    vhost: str, alarm: Alarm, event: Callable[..., Message], collect: Any
) -> None:
    watcher = supervisor(vhost, queues=(Queue(name="crm", bindings=("#",)),))
    publisher = await publish_into_alarm(watcher, alarm, event())
    assert publisher.room == 0
    alarm.end()
    assert await collect(publisher, 1) == {1: Outcome.CONFIRMED}
    assert not is_blocked(watcher)
    assert publisher.room == 256
    await publisher.close()


async def test_a_queue_that_comes_during_an_alarm_is_declared_when_it_is_over(
    vhost: str, alarm: Alarm, event: Callable[..., Message], collect: Any
) -> None:
    watcher = supervisor(vhost, queues=(Queue(name="crm", bindings=("#",)),))
    keeping = asyncio.create_task(watcher.keep_topology())
    publisher = await publish_into_alarm(watcher, alarm, event())
    more = (Queue(name="crm", bindings=("#",)), Queue(name="late", bindings=("tms.class.*",)))
    watcher.take_over(Amqp(urls=(vhost,), queues=more))
    await asyncio.sleep(0)
    alarm.end()
    assert await collect(publisher, 1) == {1: Outcome.CONFIRMED}
    async with patience(), await aio_pika.connect(vhost) as connection:
        while not await is_there(connection, "late"):  # noqa: ASYNC110 - the broker has no event for it
            await asyncio.sleep(0.02)
    keeping.cancel()
    await publisher.close()


async def is_there(connection: AbstractConnection, queue: str) -> bool:
    try:
        await (await connection.channel()).get_queue(queue)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return False
    return True


async def test_what_is_wrong_is_tried_again_until_it_is_right(
    vhost: str, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tms_bridge.broker.supervisor.MEND_EVERY_S", 0.05)
    declare, tries = topology.apply, list[object]()

    async def counted(session: Session, parts: Sequence[Part]) -> list[Finding]:
        tries.append(session)
        return await declare(session, parts)

    monkeypatch.setattr(topology, "apply", counted)
    channel = await bench.channel()
    await channel.exchange_declare("tms.events", exchange_type="fanout")
    with capture_logs() as lines:
        watcher = supervisor(vhost)
        publisher = await watcher.connect()
        keeping = asyncio.create_task(watcher.keep_topology())
        await until(lambda: len(tries) > 3)
        await channel.exchange_delete("tms.events")
        await until(lambda: watcher.topology_errors == ())
    assert ["topology is not as configured", "topology is as configured now"] == [
        line["event"] for line in lines if "topology" in line["event"]
    ]
    keeping.cancel()
    await publisher.close()


async def test_a_changed_url_is_taken_at_the_next_attempt(vhost: str, bench: Any) -> None:
    urls = [str(bench.url.with_password("stale"))]
    settings = Amqp(urls=tuple(urls))
    metrics = PublishMetrics(CollectorRegistry())
    with capture_logs() as lines:
        watcher = Supervisor(settings, metrics, structlog.get_logger(), lambda: urls)
        connecting = asyncio.create_task(watcher.connect())
        await until(lambda: "broker connection failed" in [line["event"] for line in lines])
        urls[0] = vhost
        async with patience():
            publisher = await connecting
    await publisher.close()


async def test_a_refusal_is_told_in_the_brokers_words(bench: Any) -> None:
    with pytest.raises(BrokerError) as refused:
        await bench.session(url=bench.url.with_path("/nowhere"))
    assert str(refused.value).endswith(": the broker said 530 NOT_ALLOWED - vhost nowhere not found")


def test_a_broker_by_its_address_is_named_with_brackets() -> None:
    assert place_of(URL("amqp://u:p@[::1]:5672/v")) == "amqp://[::1]:5672/v"


async def test_what_an_alarm_holds_up_is_not_late(
    vhost: str, alarm: Alarm, event: Callable[..., Message], collect: Any
) -> None:
    """Who abandoned the connection for it would leave the bytes there and send them again."""
    queues = (Queue(name="crm", bindings=("#",)),)
    watcher = supervisor(vhost, queues=queues, confirm_timeout_s=0.5)
    publisher = await publish_into_alarm(watcher, alarm, event())
    collecting = asyncio.create_task(collect(publisher, 1))
    await asyncio.sleep(1.2)  # more than twice the time limit of a confirm
    assert not collecting.done()
    publisher._confirm_timeout_s = PATIENCE_S  # from now on the confirm has all the time that it takes
    alarm.end()
    assert await collecting == {1: Outcome.CONFIRMED}
    assert publisher.open
    await publisher.close()


def test_back_off_doubles_up_to_five_seconds_under_full_jitter() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.next() for _ in range(9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    assert Backoff(jitter=lambda: 0.0).next() == 0.0


def test_after_a_good_connection_the_next_is_tried_at_once() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    backoff.next()
    assert backoff.after_loss(10.0, useful=False) == 0.0
    assert backoff.rounds == 0


def test_a_short_connection_that_confirmed_something_costs_the_shortest_wait() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.after_loss(0.5, useful=True) for _ in range(3)] == [0.2, 0.2, 0.2]


def test_connections_that_come_to_nothing_are_tried_ever_more_rarely() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.after_loss(0.5, useful=False) for _ in range(3)] == [0.2, 0.4, 0.8]
