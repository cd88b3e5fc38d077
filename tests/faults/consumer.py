"""Independent consumers in a process of their own: plain aio-pika, every delivery written down.

    python -m tests.faults.consumer PLAN.json

It knows nothing of the bridge's code. A delivery is written down before it is acked. While a file of a
queue's name lies in the directory `paused`, that queue is not consumed. SIGTERM ends it.
"""

import asyncio
import contextlib
import hashlib
import signal
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import aio_pika
import aiormq
import msgspec
from aio_pika.abc import AbstractIncomingMessage
from tests.faults.records import QUARANTINE, Delivery, Log

PREFETCH = 200
_RECONNECT_S = 0.2
_LOOK_EVERY_S = 0.05


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What to consume.

    Attributes:
        urls: brokers, tried in turn.
        deliveries: the file to write.
        paused: the directory whose files name the queues that are not consumed.
    """

    urls: list[str]
    queues: list[str]
    deliveries: str
    paused: str


class Envelope(msgspec.Struct):
    """What is read of an event's body."""

    id: str
    source: str
    trigger: str
    received_at: datetime
    payload: msgspec.Raw


_ENVELOPES = msgspec.json.Decoder(Envelope)


class Consumer:
    """One queue's consumer, which comes back by itself whatever happens to the connection."""

    def __init__(self, urls: list[str], queue: str, paused: Path, log: Log) -> None:
        self._urls = urls
        self._queue = queue
        self._paused = paused
        self._log = log
        self._positions = Counter[str]()
        self._turn = 0

    async def run(self) -> None:
        """Consume for ever."""
        while True:
            await self._until_paused(paused=False)
            self._turn += 1
            with contextlib.suppress(aiormq.exceptions.AMQPError, OSError, RuntimeError, TimeoutError):
                await self._consume(self._urls[self._turn % len(self._urls)])
            await asyncio.sleep(_RECONNECT_S)

    async def _consume(self, url: str) -> None:
        async with await aio_pika.connect(f"{url}?heartbeat=5", timeout=5.0) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.get_queue(self._queue)
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            channel.close_callbacks.add(lambda *_: gone.cancel())
            await queue.consume(self._take)
            paused = asyncio.create_task(self._until_paused(paused=True))
            await asyncio.wait((gone, paused), return_when=asyncio.FIRST_COMPLETED)
            paused.cancel()

    async def _until_paused(self, *, paused: bool) -> None:
        while self._paused.exists() is not paused:  # noqa: ASYNC110 - a file cannot wake anybody
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self._positions[self._queue] += 1
        headers = message.headers
        content, received_at = _read(self._queue, message)
        self._log.write(
            Delivery(
                queue=self._queue,
                message_id=message.message_id or "",
                digest=str(headers.get("tms-digest", "")),
                content=content,
                routing_key=message.routing_key or "",
                redelivered=bool(message.redelivered),
                at=time.monotonic(),
                position=self._positions[self._queue],
                connection=self._turn,
                replayed=bool(headers.get("tms-replayed", False)),
                received_at=received_at,
            )
        )
        await message.ack()


def _read(queue: str, message: AbstractIncomingMessage) -> tuple[str, float]:
    """Return the digest of the sender's body and when it was received, by the message alone.

    Where the message is not whole, a text takes the digest's place.
    """
    if queue == QUARANTINE:
        headers = message.headers
        return _digest(str(headers["tms-source"]), str(headers["tms-trigger"]), message.body), 0.0
    try:
        event = _ENVELOPES.decode(message.body)
    except msgspec.DecodeError as error:
        return f"not an event: {error}", 0.0
    content = _digest(event.source, event.trigger, bytes(event.payload))
    if event.id != message.message_id:
        content = f"the body has the id {event.id}"
    return content, event.received_at.timestamp()


def _digest(source: str, trigger: str, body: bytes) -> str:
    return hashlib.blake2b(f"{source}\0{trigger}\0".encode() + body, digest_size=32).hexdigest()


async def run(orders: Orders) -> None:
    """Consume until SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    with Log(Path(orders.deliveries)) as log:
        paused = Path(orders.paused)
        consumers = [Consumer(orders.urls, queue, paused / queue, log) for queue in orders.queues]
        tasks = [asyncio.create_task(consumer.run()) for consumer in consumers]
        await stopped.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Orders)))
