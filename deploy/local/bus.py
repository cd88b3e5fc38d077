"""An independent consumer: plain aio-pika, a queue of its own, knows nothing of the bridge's code."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

EXCHANGE = "tms.events"

_PREFETCH = 500
_ACK_EVERY = 50


@dataclass
class Inbox:
    """What has arrived, in the order of arrival.

    Attributes:
        messages: every delivery, with the monotonic time at which it came.
    """

    messages: list[tuple[float, AbstractIncomingMessage]] = field(default_factory=list)
    _ids: set[str | None] = field(default_factory=set)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Keep a delivery."""
        async with self._arrived:
            self.messages.append((time.monotonic(), message))
            self._ids.add(message.message_id)
            self._arrived.notify_all()

    async def wait_for(self, ids: set[str], *, timeout_s: float) -> None:
        """Wait until a message of each id has arrived.

        Raises:
            TimeoutError: some are still missing.
        """
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: self._ids.issuperset(ids))

    async def wait_while_coming(self, ids: set[str], *, patience_s: float) -> bool:
        """Wait until a message of each id has arrived, for as long as any comes; tell whether all have."""
        while not self._ids.issuperset(ids):
            try:
                async with asyncio.timeout(patience_s):
                    await self.wait_for_more_than(len(self.messages))
            except TimeoutError:
                return False
        return True

    async def wait_for_more_than(self, count: int) -> None:
        """Wait until more than `count` messages have arrived."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.messages) > count)


@asynccontextmanager
async def listening(url: str, *, binding: str = "#") -> AsyncIterator[Inbox]:
    """Bind a queue of our own to the events and keep what arrives; the queue goes with the connection."""
    inbox = Inbox()
    async with await aio_pika.connect(url, timeout=10.0) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, binding)
        await queue.consume(inbox.take, no_ack=True)
        yield inbox


@asynccontextmanager
async def following(urls: Sequence[str], queue: str) -> AsyncIterator[Inbox]:
    """Keep what arrives in a replicated queue of a cluster, whichever of its nodes are there.

    What was taken and not acknowledged when a node went comes twice. The queue goes at the end.
    """
    inbox = Inbox()
    ready = asyncio.Event()
    following = asyncio.create_task(_follow(urls, queue, inbox, ready))
    try:
        await ready.wait()
        yield inbox
    finally:
        following.cancel()
        await asyncio.wait([following])
        async with await aio_pika.connect(urls[0], timeout=10.0) as connection:
            await (await connection.channel()).queue_delete(queue)


async def _follow(urls: Sequence[str], name: str, inbox: Inbox, ready: asyncio.Event) -> None:
    for url in itertools.cycle(urls):
        with contextlib.suppress(aio_pika.exceptions.AMQPError, OSError, TimeoutError):
            async with await aio_pika.connect(url, timeout=5.0, heartbeat=5) as connection:
                channel = await connection.channel()
                await channel.set_qos(_PREFETCH)
                exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
                queue = await channel.declare_queue(
                    name, durable=True, arguments={"x-queue-type": "quorum"}, timeout=10.0
                )
                await queue.bind(exchange, "#")
                ready.set()
                async with queue.iterator() as arriving:
                    async for message in arriving:  # ends with the connection
                        await inbox.take(message)
                        if len(inbox.messages) % _ACK_EVERY == 0:  # the last few stay open, and come again
                            await message.ack(multiple=True)
        await asyncio.sleep(0.2)
