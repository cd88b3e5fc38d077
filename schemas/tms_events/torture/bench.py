"""What ordeals work with: they publish, hold back, kill, and wait until the consumer is through."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, DateType

from tms_events.event import Event
from tms_events.testing import Delivery, Trigger, deliver, make_event
from tms_events.torture.consumer import Consumer
from tms_events.torture.record import NUMBER_HEADER, Fall, Record, Sent
from tms_events.torture.tap import Tap, changes
from tms_events.wire import APP_ID, CONTENT_TYPE

START_S = 30.0
"""How long a consumer may take from its start until it reads its queue."""

MOST_DELIVERIES = 60
"""A message that was delivered more often is put back for ever; delivery limits are lower."""

_MOST_FALLS = 2
_LOOK_S = 0.1
_STILL = 4


class NotReadingError(Exception):
    """The consumer does not read any queue."""


class Bench:
    """One consumer, its broker, and what is between them.

    Attributes:
        record: what was sent and seen.
        tap: what is between.
        random: the choices of this seed.
        bound: of each trigger the statuses that the consumer's queue takes.
    """

    def __init__(  # noqa: PLR0913 - what a run consists of
        self,
        record: Record,
        tap: Tap,
        consumer: Consumer,
        exchange: AbstractExchange,
        channel: AbstractChannel,
        *,
        seed: int,
        prefix: str,
        patience_s: float,
    ) -> None:
        self.record, self.tap = record, tap
        self.random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.bound: dict[Trigger, list[str]] = {}
        self._consumer, self._exchange, self._channel = consumer, exchange, channel
        self._prefix, self._patience_s = prefix, patience_s
        self._begin = datetime.now(UTC) - timedelta(seconds=5)
        self._made = 0
        # An inbox that is kept from one run to the next must not know these entities and ids.
        self._entity = secrets.randbelow(1 << 40)

    def entity(self) -> int:
        """Return the number of a class or course assignment that nobody has seen."""
        self._entity += 1
        return self._entity

    def event(self, trigger: Trigger, status: str, entity: int, **members: object) -> Event:
        """Make an event that is newer than all before."""
        self._made += 1
        received_at = self._begin + timedelta(milliseconds=self._made)
        event: Event = make_event(  # type: ignore[call-overload]  # of either trigger
            trigger,
            status,
            entity_id=entity,
            **{"id": _uuid7(received_at), "received_at": received_at, **members},
        )
        return event

    def history(self, trigger: Trigger, most: int = 4) -> list[Event]:
        """Make a life of one entity, in different statuses that the queue takes."""
        statuses = [status for status in self.bound[trigger] if status != "unknown"] or ["unknown"]
        chosen = self.random.sample(statuses, min(most, len(statuses)))
        entity = self.entity()
        return [self.event(trigger, status, entity) for status in chosen]

    async def send(  # noqa: PLR0913 - each is one way in which a message may be special
        self,
        event: Event,
        *,
        body: bytes | None = None,
        status: str | None = None,
        replayed: bool = False,
        optional: bool = False,
        queue: str | None = None,
    ) -> Sent:
        """Publish an event.

        Args:
            event: what it says.
            body: its body, if another than `encode` makes.
            status: the last word of the routing key, if another than the bridge of today takes.
            replayed: whether it says that an operator sent it again.
            optional: whether the consumer may pass it over.
            queue: into which queue alone; into the exchange if left out.
        """
        message = deliver(event, replayed=replayed)
        word = status or message.routing_key.rpartition(".")[2]
        sent = self.record.send(event.id, event, optional=optional)
        await self._publish(sent, message, body or message.body, f"{event.trigger}.{word}", queue)
        return sent

    async def send_poison(self, body: bytes, trigger: Trigger) -> Sent:
        """Publish what is no event, where an event would be."""
        event = self.event(trigger, self.bound[trigger][0], self.entity())
        sent = self.record.send(event.id, None)
        message = deliver(event)
        await self._publish(sent, message, body, f"{trigger}.{self.bound[trigger][0]}", None)
        return sent

    async def _publish(self, sent: Sent, message: Delivery, body: bytes, key: str, queue: str | None) -> None:
        headers = {**message.headers, NUMBER_HEADER: sent.number}
        properties = aio_pika.Message(
            body,
            headers=dict(headers),
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=message.message_id,
            timestamp=_timestamp(sent, self._begin),
            type=str(message.headers["cloudEvents_type"]),
            app_id=APP_ID,
        )
        exchange = self._exchange if queue is None else self._channel.default_exchange
        try:
            await exchange.publish(properties, queue or f"{self._prefix}.{key}")
        except aio_pika.exceptions.PublishError:
            sent.routed = False

    async def settle(self) -> None:
        """Wait until the consumer is through with this ordeal; start it again where it ends by itself."""
        loop, falls, still = asyncio.get_running_loop(), 0, 0
        deadline = loop.time() + self._patience_s
        while (waiting := self.record.unsettled()) or self._consumer.code is not None:
            if self._consumer.code is not None:
                falls += 1
                await self._fell(waiting)
                if falls < _MOST_FALLS:
                    await self.start()
                    deadline = loop.time() + self._patience_s
                else:
                    await self._give_up(waiting)
            elif loop.time() > deadline or any(sent.deliveries > MOST_DELIVERIES for sent in waiting):
                self.record.stuck += [sent.number for sent in waiting]
                await self._give_up(waiting)
            elif still >= _STILL:
                return  # put back too often: the broker has dropped or buried them
            else:
                await changes(self.tap, _LOOK_S)
                gone = all(sent.returns for sent in waiting) and await self._is_empty()
                still = still + 1 if gone else 0
        self._consumer.listen()

    async def told(self, event: Event) -> None:
        """Wait until the consumer says that it handled an event, or acknowledges it, or ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while self._consumer.code is None and event.id not in self.record.early:
                    self._consumer.listen()
                    if self.record.is_told(event.id):
                        return
                    await changes(self.tap, 0.01)

    async def some_settled(self, count: int) -> None:
        """Wait until so many of this ordeal's messages are settled, or one is acknowledged too early."""
        waiting, early = self.record.unsettled(), len(self.record.early)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while self._consumer.code is None and early == len(self.record.early):
                    if sum(bool(sent.settled) for sent in waiting) >= count:
                        return
                    await changes(self.tap, _LOOK_S)

    async def kill(self, *, holding: bool = False) -> None:
        """Kill the consumer; what it has written reaches the broker, unless it is being held back."""
        await self._consumer.kill()
        await (self.tap.cut() if holding else self.tap.drained())

    async def start(self) -> None:
        """Start the consumer, and wait until it reads its queue.

        Raises:
            NotReadingError: it ended, or did not come to read one.
        """
        await self._consumer.start()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_S
        while not self.tap.reading.is_set():
            if self._consumer.code is not None:
                raise NotReadingError(self._end())
            if loop.time() > deadline:
                raise NotReadingError(f"it was started, and read no queue for {START_S:.0f} s")
            await changes(self.tap, _LOOK_S)

    async def _fell(self, waiting: list[Sent]) -> None:
        hand = dict.fromkeys(sent.id for sent in waiting if sent.deliveries)
        self.record.falls.append(Fall(ordeal=self.record.ordeal, words=self._end(), hand=[*hand]))
        await self.kill()

    def _end(self) -> str:
        return f"it ended with exit code {self._consumer.code}: {self._consumer.last_words() or 'not a word'}"

    async def _give_up(self, waiting: list[Sent]) -> None:
        """Take away what the consumer cannot get past, with its queue, which it makes anew."""
        for sent in waiting:
            sent.abandoned = True
        await self.kill()
        for queue in self.tap.read:
            await self._channel.queue_delete(queue)
        await self.start()

    async def _is_empty(self) -> bool:
        """Tell whether nothing waits for the consumer, neither in its queues nor in its hand."""
        if self.record.hand:
            return False
        counts = [await self._count(queue) for queue in self.tap.read]
        return not any(counts)

    async def _count(self, queue: str) -> int:
        declared = await self._channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Let nothing that the consumer writes reach the broker, and kill it at the end."""
        with self.tap.holding_acks():
            try:
                yield
            finally:
                await self.kill(holding=True)


def _timestamp(sent: Sent, begin: datetime) -> DateType:
    return (sent.event.received_at if sent.event else begin).replace(microsecond=0)


def _uuid7(moment: datetime) -> str:
    milliseconds, rest = int(moment.timestamp() * 1000), secrets.randbits(74)
    number = milliseconds << 80 | 7 << 76 | (rest >> 62) << 64 | 0b10 << 62 | rest & ((1 << 62) - 1)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
