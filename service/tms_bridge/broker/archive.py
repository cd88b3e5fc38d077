"""The archive: a stream that is read from a moment on, and from which events are copied into one queue.

Theory of operation. A stream is a log: reading takes nothing away, and each message has an offset. What is
asked for is a time of receipt, and the log is in the order of publishing, so:

- It is read from a minute before `since` on, and each event is judged by its own `cloudEvents_time`. The
  broker takes a moment only as a hint: it begins with the chunk that was written then.
- Where it ends is found first, in the last chunk: a bridge that goes on publishing would never let it end.
- The end is known and the beginning lies before it, so silence on the way is never taken for the end.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from tms_bridge.broker.consumer import Subscription, publish_copy
from tms_bridge.broker.session import CHANNEL_TIMEOUT_S, Session
from tms_bridge.errors import BrokerError
from tms_bridge.settings.amqp import takes
from tms_events.wire import CHECK_TYPE, REPLAYED_HEADER

BATCH: Final = 100
"""How many copies wait for their confirms at once."""

PREFETCH: Final = 200
"""How many messages the broker sends ahead; a stream asks that it be limited."""

CLOCK_SLACK: Final = timedelta(minutes=1)
"""By how much the clocks of bridge and broker may differ."""

QUIET_S: Final = 2.0
"""A last chunk that sends nothing for so long has been read."""

EMPTY_S: Final = 5.0
"""A stream whose last chunk does not come within so long has none."""

STALL_S: Final = 30.0
"""How long the broker may take over the next message, or over the confirms of a batch."""

Offset = int | str | datetime


class Archived(msgspec.Struct, frozen=True):
    """An event as the archive has it.

    Attributes:
        offset: its place in the stream.
        received_at: when the bridge took it in.
        routing_key: the key that it was published by.
        subject: its trigger and entity, as `class/4711`.
        message: all of it.
    """

    offset: int
    received_at: datetime
    routing_key: str
    subject: str
    message: AbstractIncomingMessage


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of the archive are meant.

    Attributes:
        since: the first moment of receipt; None: all that `from_offset` leaves.
        until: the first moment of receipt that is too late.
        bindings: topic patterns, any of which must take the routing key.
        entity: trigger and id, as `class/4711`; None: every entity.
        from_offset: where to begin reading, whatever `since` says; None: a minute before it.
    """

    since: datetime | None
    until: datetime
    bindings: Sequence[str] = ("#",)
    entity: str | None = None
    from_offset: int | None = None

    def takes(self, event: Archived) -> bool:
        """Return whether an event is one of them."""
        return (
            (self.since is None or event.received_at >= self.since)
            and event.received_at < self.until
            and self.entity in (None, event.subject)
            and any(takes(binding, event.routing_key) for binding in self.bindings)
        )


class _SilentError(BrokerError):
    """The stream sent nothing for a while."""


class _Newest(msgspec.Struct):
    """What the last chunk tells: its last offset, and the latest receipt in it."""

    offset: int
    received_at: datetime | None


async def read(session: Session, archive: str, selection: Selection) -> AsyncGenerator[Archived, None]:
    """Yield each event from where the selection begins to what is the newest now; the caller selects.

    Raises:
        BrokerError: there is no such stream, or the connection was lost.
    """
    newest = await _newest(session, archive)
    if newest is None or (selection.from_offset or 0) > newest.offset:
        return
    async with contextlib.aclosing(_messages(session, archive, _beginning(selection, newest))) as messages:
        async for message in messages:
            if (event := _event(message)) is not None and event.offset <= newest.offset:
                yield event
            if _offset(message) >= newest.offset:
                return


def _beginning(selection: Selection, newest: _Newest) -> Offset:
    """Return where to read from: never after the newest event, so that something must come."""
    if selection.from_offset is not None:
        return selection.from_offset
    if selection.since is None or newest.received_at is None:
        return "first"
    return min(selection.since, newest.received_at) - CLOCK_SLACK


async def _newest(session: Session, archive: str) -> _Newest | None:
    """Read the last chunk through, which may grow meanwhile; None: the archive is empty."""
    began = datetime.now(UTC)
    newest: _Newest | None = None
    messages = _messages(session, archive, "last", first_s=EMPTY_S, next_s=QUIET_S)
    with contextlib.suppress(_SilentError):
        async with contextlib.aclosing(messages):
            async for message in messages:
                event = _event(message)
                newest = newest or _Newest(0, None)
                newest.offset = _offset(message)
                if event is not None:
                    newest.received_at = max(newest.received_at or event.received_at, event.received_at)
                if event is not None and event.received_at > began:
                    break
    # The count is seconds old, so that it proves nothing by itself.
    if newest is None and await message_count(session, archive):
        raise BrokerError(f"{archive} has messages and sent none for {EMPTY_S:g} s; try again")
    return newest


async def message_count(session: Session, queue: str) -> int:
    """Return how many messages a queue holds.

    Raises:
        BrokerError: there is no such queue, or the connection was lost.
    """
    with session.doing(f"look at queue {queue}"):
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            channel = await session.channel()
            found = await channel.declare_queue(queue, passive=True)
            await channel.close()
    return found.declaration_result.message_count or 0


async def _messages(
    session: Session,
    archive: str,
    beginning: Offset,
    *,
    first_s: float = STALL_S,
    next_s: float = STALL_S,
) -> AsyncGenerator[AbstractIncomingMessage, None]:
    """Yield a stream's messages in order, for ever; silence for longer than these is an error."""
    incoming = Subscription(session)
    with session.doing(f"read {archive}"):
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            channel = await session.channel()
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.get_queue(archive, ensure=False)
            await queue.consume(incoming.put, arguments={"x-stream-offset": beginning})
    try:
        for number in itertools.count():
            try:
                async with asyncio.timeout(next_s if number else first_s):
                    message = await incoming.get()
            except TimeoutError:
                raise _SilentError(f"{archive} sent nothing for {STALL_S:g} s; was it deleted?") from None
            yield message
            if number % (PREFETCH // 4) == 0:
                with session.doing("acknowledge"):
                    await message.ack(multiple=True)
    finally:
        with contextlib.suppress(BrokerError), session.doing("close a channel"):
            await channel.close()


def _offset(message: AbstractIncomingMessage) -> int:
    offset = message.headers.get("x-stream-offset")
    if not isinstance(offset, int):
        raise BrokerError("what the queue sends has no offset: it is no stream")
    return offset


def _event(message: AbstractIncomingMessage) -> Archived | None:
    """Return a message as an event; None: it is a test message, or not of a bridge."""
    received_at = message.headers.get("cloudEvents_time")
    if message.type == CHECK_TYPE or not isinstance(received_at, str):
        return None
    try:
        moment = datetime.fromisoformat(received_at)
    except ValueError:
        return None
    return Archived(
        _offset(message),
        moment if moment.tzinfo else moment.replace(tzinfo=UTC),
        message.routing_key or "",
        str(message.headers.get("cloudEvents_subject", "")),
        message,
    )


async def copy(
    session: Session,
    events: AsyncIterator[Archived],
    *,
    queue: str = "",
    exchange: str = "",
    rate: float | None = None,
) -> AsyncGenerator[list[Archived], None]:
    """Publish events again in their order, and yield them a batch at a time once the broker has confirmed it.

    Args:
        session: a connection of ours.
        events: what to copy.
        queue: the one queue that gets them, through the default exchange.
        exchange: or else the exchange that each goes to, by its own key.
        rate: events a second; None: as fast as the broker confirms.

    Raises:
        BrokerError: the queue is gone or full, or the connection was lost. What was yielded is confirmed;
            of the batch that failed some may have arrived.
    """
    channel = await session.confirm_channel()
    size = BATCH if rate is None else max(1, min(BATCH, round(rate)))
    clock = asyncio.get_running_loop().time
    due_at = clock()
    async for batch in _batches(events, size):
        with session.doing("copy"):
            async with asyncio.timeout(STALL_S):
                await asyncio.gather(*(_copy(channel, event, queue, exchange) for event in batch))
        yield batch
        if rate is not None:
            due_at = max(due_at, clock() - 1.0) + len(batch) / rate
            await asyncio.sleep(due_at - clock())


async def _batches(events: AsyncIterator[Archived], size: int) -> AsyncIterator[list[Archived]]:
    batch = []
    async for event in events:
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _copy(channel: AbstractChannel, event: Archived, queue: str, exchange: str) -> None:
    key = queue or event.routing_key
    if not await publish_copy(channel, event.message, exchange, key, {REPLAYED_HEADER: True}):
        raise BrokerError(f"queue {queue} is gone" if queue else f"no queue takes {key}")
