"""An independent consumer: plain aio-pika, a queue of its own, knows nothing of the bridge's code."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

EXCHANGE = "tms.events"


@dataclass
class Inbox:
    """What has arrived, in the order of arrival.

    Attributes:
        messages: every delivery, with the monotonic time at which it came.
    """

    messages: list[tuple[float, AbstractIncomingMessage]] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Keep a delivery."""
        async with self._arrived:
            self.messages.append((time.monotonic(), message))
            self._arrived.notify_all()

    async def wait_for(self, ids: set[str], *, timeout_s: float) -> None:
        """Wait until a message of each id has arrived.

        Raises:
            TimeoutError: some are still missing.
        """
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: ids <= {message.message_id for _, message in self.messages})

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
