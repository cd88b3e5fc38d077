"""A listener on the bus."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.waiting import patience

from tms_bridge.broker.consumer import Delivery, listen
from tms_bridge.errors import BrokerError
from tms_bridge.message import Message


async def test_a_listener_sees_what_its_keys_bind(
    bench: Any, event: Callable[..., Message], collect: Any
) -> None:
    publisher = await bench.publisher()
    async with aclosing(listen(await bench.session(), "tms.events", ["tms.class.*"])) as deliveries:
        first = asyncio.ensure_future(anext(deliveries))
        seen: list[Delivery] = []
        sent: list[Message] = []
        while not first.done():  # what was published before the queue was bound is nobody's
            sent += [event(routing_key="tms.course_assignment.started"), event(body=b'{"n":1}')]
            for key, message in enumerate(sent[-2:]):
                publisher.publish(key, message, "tms.events")
            await collect(publisher, 2)
        seen.append(await first)
        assert seen[0].message_id in [message.id for message in sent]
        assert seen[0].routing_key == "tms.class.scheduled"
        assert seen[0].type == "com.skillable.tms.class.scheduled"
        assert seen[0].content_type == "application/json"
        assert seen[0].timestamp == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
        assert seen[0].headers["tms-digest"] == "ab" * 32
        assert seen[0].body == b'{"n":1}'


async def test_a_lost_connection_ends_a_listener(bench: Any, proxy: Any) -> None:
    await bench.publisher()
    session = await bench.session(url=bench.url.with_port(proxy.port))
    listening = asyncio.Event()
    waiting = asyncio.ensure_future(anext(listen(session, "tms.events", ["#"], listening.set)))
    async with patience():
        await listening.wait()
    proxy.reset()
    with pytest.raises(BrokerError, match="lost"):
        await waiting


async def test_a_listener_on_a_missing_exchange_is_told(bench: Any) -> None:
    session = await bench.session()
    with pytest.raises(BrokerError, match=r"no exchange 'tms\.events'"):
        await anext(listen(session, "tms.events", ["#"]))
