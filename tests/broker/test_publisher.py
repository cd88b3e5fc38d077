"""The contract of a publisher."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.administering import close_connections
from tests.waiting import PATIENCE_S, patience

from rabbitmq import Node
from tms_bridge.errors import PublisherClosed
from tms_bridge.message import Message, Outcome

KEY = "tms.class.scheduled"
Event = Callable[..., Message]
Collect = Callable[..., Awaitable[dict[int, Outcome]]]


async def closing(publisher: Any) -> PublisherClosed:
    """Wait until it is closed, past whatever outcomes come before."""
    async with patience():
        while True:
            try:
                await publisher.outcomes()
            except PublisherClosed as closed:
                return closed


async def test_a_routed_message_is_confirmed_and_in_the_queue(
    bench: Any, event: Event, collect: Collect
) -> None:
    publisher = await bench.publisher()
    queue = await bench.queue("tms.class.*")
    message = event(body=b'{"a":1}')
    publisher.publish(7, message, "tms.events")
    assert await collect(publisher, 1) == {7: Outcome.CONFIRMED}
    delivered = await bench.get(queue)
    assert delivered.body == b'{"a":1}'
    assert delivered.header.properties.message_id == message.id


async def test_a_message_that_no_queue_wants_is_returned(bench: Any, event: Event, collect: Collect) -> None:
    publisher = await bench.publisher()
    await bench.queue("tms.class.scheduled")
    publisher.publish(1, event(), "tms.events")
    publisher.publish(2, event(routing_key="tms.class.denied"), "tms.events")
    publisher.publish(3, event(), "tms.events")
    publisher.publish(4, event(routing_key="tms.class.denied", body=b"x" * 300_000), "tms.events")
    assert await collect(publisher, 4) == {
        1: Outcome.CONFIRMED,
        2: Outcome.RETURNED,
        3: Outcome.CONFIRMED,
        4: Outcome.RETURNED,
    }


async def test_a_full_queue_nacks_and_the_channel_goes_on(bench: Any, event: Event, collect: Collect) -> None:
    publisher = await bench.publisher()
    await bench.queue(KEY, **{"x-max-length": 1, "x-overflow": "reject-publish"})
    await bench.queue("tms.class.denied")
    publisher.publish(1, event(), "tms.events")
    assert await collect(publisher, 1) == {1: Outcome.CONFIRMED}
    publisher.publish(2, event(), "tms.events")
    publisher.publish(3, event(routing_key="tms.class.denied"), "tms.events")
    assert await collect(publisher, 2) == {2: Outcome.NACKED, 3: Outcome.CONFIRMED}


@pytest.mark.parametrize(
    "unencodable",
    [
        {"routing_key": "k" * 256},
        {"routing_key": "\u00fc" * 200},
        {"id": "i" * 256},
        {"id": "\ud800"},
        {"status": "s" * 255},
        {"source": "x" * 140_000},
        {"received_at_us": -62_135_596_800_000_000_0},
    ],
    ids=[
        "long key",
        "long key in bytes",
        "long id",
        "surrogate",
        "long type",
        "headers over a frame",
        "year",
    ],
)
async def test_what_cannot_be_encoded_is_refused_alone(
    bench: Any, event: Event, collect: Collect, unencodable: dict[str, Any]
) -> None:
    publisher = await bench.publisher()
    await bench.queue(KEY)
    publisher.publish(1, event(), "tms.events")
    publisher.publish(2, event(**unencodable), "tms.events")
    publisher.publish(3, event(), "tms.events")
    assert await collect(publisher, 3) == {1: Outcome.CONFIRMED, 2: Outcome.REFUSED, 3: Outcome.CONFIRMED}


async def test_many_in_flight_are_all_confirmed_in_any_order(
    bench: Any, event: Event, collect: Collect
) -> None:
    publisher = await bench.publisher(max_outstanding=500)
    queue = await bench.queue(KEY)
    for key in range(500):
        publisher.publish(key, event(), "tms.events")
    assert publisher.room == 0
    assert await collect(publisher, 500) == dict.fromkeys(range(500), Outcome.CONFIRMED)
    assert publisher.room == 500
    assert await bench.depth(queue) == 500


@pytest.mark.parametrize("size", [0, 1, 131_063, 131_064, 131_065, 400_000])
async def test_bodies_of_every_size_arrive_whole(
    bench: Any, event: Event, collect: Collect, size: int
) -> None:
    publisher = await bench.publisher()
    queue = await bench.queue(KEY)
    body = bytes(range(256)) * (size // 256 + 1)
    publisher.publish(1, event(body=body[:size]), "tms.events")
    assert await collect(publisher, 1) == {1: Outcome.CONFIRMED}
    assert (await bench.get(queue)).body == body[:size]


async def test_a_missing_exchange_closes_over_a_message(bench: Any, event: Event) -> None:
    publisher = await bench.publisher()
    await bench.queue(KEY)
    for key in range(5):
        publisher.publish(key, event(), "tms.nowhere" if key == 2 else "tms.events")
    closed = await closing(publisher)
    assert closed.by_message
    assert closed.code == 404
    assert publisher.room == 0


async def test_a_body_over_the_brokers_limit_closes_over_a_message(
    bench: Any, event: Event, rabbitmq: Node
) -> None:
    publisher = await bench.publisher()
    await bench.queue(KEY)
    rabbitmq.evaluate(
        "application:set_env(rabbit, max_message_size, 1000000), "
        "persistent_term:put(size_before, persistent_term:get(max_message_size, none)), "
        "persistent_term:put(max_message_size, 1000000)."
    )
    try:
        publisher = await bench.publisher()
        publisher.publish(1, event(body=b"x" * 1_000_001), "tms.events")
        closed = await closing(publisher)
    finally:
        rabbitmq.evaluate(
            "application:unset_env(rabbit, max_message_size), "
            "case persistent_term:get(size_before) of "
            "none -> persistent_term:erase(max_message_size); "
            "Before -> persistent_term:put(max_message_size, Before) end."
        )
    assert closed.by_message
    assert closed.code == 406


async def test_a_reset_connection_is_nobodys_fault(bench: Any, event: Event, proxy: Any) -> None:
    publisher = await bench.publisher(url=bench.url.with_port(proxy.port))
    await bench.queue(KEY)
    proxy.swallow()
    for key in range(20):
        publisher.publish(key, event(), "tms.events")
    await asyncio.sleep(0)
    proxy.reset()
    closed = await closing(publisher)
    assert not closed.by_message
    assert closed.code is None


async def test_a_connection_closed_by_an_operator_is_nobodys_fault(
    bench: Any, event: Event, rabbitmq: Node, collect: Collect
) -> None:
    publisher = await bench.publisher()
    await bench.queue(KEY)
    publisher.publish(1, event(), "tms.events")
    await collect(publisher, 1)
    await asyncio.to_thread(close_connections, rabbitmq, str(bench.url), "maintenance")
    closed = await closing(publisher)
    assert (closed.by_message, closed.code) == (False, 320)


@pytest.mark.long
async def test_a_black_hole_is_found_by_heartbeats(bench: Any, event: Event, proxy: Any) -> None:
    url = bench.url.with_port(proxy.port)
    publisher = await bench.publisher(url=url, heartbeat_s=1, confirm_timeout_s=2 * PATIENCE_S)
    await bench.queue(KEY)
    proxy.swallow()
    publisher.publish(1, event(), "tms.events")
    assert not (await closing(publisher)).by_message


@pytest.mark.long
async def test_confirms_alone_keep_a_connection_alive(bench: Any, event: Event, collect: Collect) -> None:
    publisher = await bench.publisher(heartbeat_s=1)
    await bench.queue(KEY)
    until = time.monotonic() + 8
    key = 0
    while time.monotonic() < until:
        key += 1
        publisher.publish(key, event(), "tms.events")
        assert await collect(publisher, 1) == {key: Outcome.CONFIRMED}
        await asyncio.sleep(0.02)


async def test_a_confirm_that_never_comes_aborts_the_connection(bench: Any, event: Event, proxy: Any) -> None:
    publisher = await bench.publisher(url=bench.url.with_port(proxy.port), confirm_timeout_s=0.5)
    await bench.queue(KEY)
    proxy.swallow()
    publisher.publish(1, event(), "tms.events")
    closed = await closing(publisher)
    assert not closed.by_message
    assert "0.5 s" in str(closed)


async def test_a_socket_that_takes_no_more_leaves_no_room_until_it_does(
    bench: Any, event: Event, proxy: Any, collect: Collect
) -> None:
    publisher = await bench.publisher(url=bench.url.with_port(proxy.port), max_outstanding=1000)
    await bench.queue(KEY)
    proxy.swallow()
    count = 0
    async with patience():
        while publisher.room:
            publisher.publish(count, event(body=b"x" * 1_000_000), "tms.events")
            count += 1
            await asyncio.sleep(0.01)
    assert count < 100
    proxy.pass_on()
    assert await collect(publisher, count) == dict.fromkeys(range(count), Outcome.CONFIRMED)
    assert publisher.room == 1000


async def test_closing_ends_the_publisher_and_its_connection(
    bench: Any, event: Event, collect: Collect
) -> None:
    publisher = await bench.publisher()
    await bench.queue(KEY)
    publisher.publish(1, event(), "tms.events")
    await collect(publisher, 1)
    await publisher.close()
    assert publisher.room == 0
    assert not (await closing(publisher)).by_message
    assert bench.sessions[0].connection.is_closed
    await publisher.close()


async def test_a_reader_is_woken_by_the_close(bench: Any) -> None:
    publisher = await bench.publisher()
    reader = asyncio.create_task(closing(publisher))
    await asyncio.sleep(0)
    await publisher.close()
    assert not (await reader).by_message
