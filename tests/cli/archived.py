"""Events in an archive, as a bridge has published them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, FieldValue
from tests.waiting import PATIENCE_S
from yarl import URL

from tms_bridge.broker import topology
from tms_bridge.broker.publisher import PipelinedPublisher, check_channel
from tms_bridge.broker.session import open_session
from tms_bridge.message import Kind, Message
from tms_bridge.settings.model import Amqp, Archive

T = TypeVar("T")

AT_ONCE = 200
BEGAN = datetime(2026, 11, 20, 9, tzinfo=UTC)
"""The receipt of the first event."""

EVENT = Message(
    id="id-0",
    kind=Kind.EVENT,
    source="contoso",
    trigger="class",
    status="scheduled",
    routing_key="tms.class.scheduled",
    entity="0",
    received_at_us=0,
    digest="ab" * 32,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    body=b"",
)


def spread(
    count: int, *, hours: float, entities: int = 100, prefix: str = "id", began: datetime = BEGAN
) -> list[Message]:
    """Return events of many entities in turn, evenly received: odd ones of classes, even of assignments."""
    first_us, apart_us = int(began.timestamp()) * 1_000_000, int(hours * 3_600_000_000) // count
    return [_event(number, entities, prefix, first_us + number * apart_us) for number in range(count)]


def _event(number: int, entities: int, prefix: str, received_at_us: int) -> Message:
    entity = number % entities
    trigger, status = ("class", "scheduled") if entity % 2 else ("course_assignment", "started")
    return msgspec.structs.replace(
        EVENT,
        id=f"{prefix}-{number}",
        trigger=trigger,
        status=status,
        routing_key=f"tms.{trigger}.{status}",
        entity=str(entity),
        received_at_us=received_at_us,
        body=b'{"n":%d,"payload":{"Price":1.50}}' % number,
    )


def with_archive(config: Path) -> Path:
    config.write_text(config.read_text().replace("[outbox]", "[amqp.archive]\n[outbox]", 1))
    return config


async def publish(url: str, events: Iterable[Message], max_age: str = "7d") -> None:
    """Publish as the bridge does, with the topology in place."""
    session = await open_session(URL(url), context=None, heartbeat_s=10, name="test", timeout_s=PATIENCE_S)
    await topology.apply(session, topology.configured(Amqp(urls=(url,), archive=Archive(max_age=max_age))))
    channel = await check_channel(session, await session.confirm_channel())
    publisher = PipelinedPublisher(session, channel, max_outstanding=AT_ONCE, confirm_timeout_s=60)
    await _send(publisher, events)
    await publisher.close()
    await session.close()


async def _send(publisher: PipelinedPublisher, events: Iterable[Message]) -> None:
    sent = done = 0
    for event in events:
        publisher.publish(sent, event, "tms.events")
        sent += 1
        while sent - done >= AT_ONCE:
            done += len(await publisher.outcomes())
    while done < sent:
        done += len(await publisher.outcomes())


def fill(url: str, events: Iterable[Message], max_age: str = "7d") -> None:
    asyncio.run(publish(url, events, max_age))


def on_bus(url: str, work: Callable[[AbstractChannel], Coroutine[object, object, T]]) -> T:
    async def run() -> T:
        async with await aio_pika.connect(url) as connection:
            return await work(await connection.channel())

    return asyncio.run(run())


def declare(url: str, *names: str, arguments: dict[str, FieldValue] | None = None) -> None:
    async def work(channel: AbstractChannel) -> None:
        for name in names:
            await channel.declare_queue(name, durable=True, arguments=arguments)

    on_bus(url, work)


def taken(url: str, name: str) -> list[AbstractIncomingMessage]:
    """Return all that a queue holds, and leave it empty."""

    async def work(channel: AbstractChannel) -> list[AbstractIncomingMessage]:
        await channel.set_qos(prefetch_count=1000)
        queue = await channel.declare_queue(name, passive=True)
        count = queue.declaration_result.message_count or 0
        found: list[AbstractIncomingMessage] = []
        if count:
            async with queue.iterator(no_ack=True) as messages:
                async for message in messages:
                    found.append(message)
                    if len(found) == count:
                        break
        return found

    return on_bus(url, work)


def numbers(messages: Iterable[AbstractIncomingMessage]) -> list[int]:
    """Return which events these are, by the number in their ids."""
    return [int((message.message_id or "").rpartition("-")[2]) for message in messages]
