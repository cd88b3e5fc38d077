"""Takes messages from the bus: to show them as they arrive, and to send again those that no queue wanted."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Final

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, HeadersType
from aio_pika.exceptions import DeliveryError, PublishError

from tms_bridge.broker.session import CHANNEL_TIMEOUT_S, Session
from tms_bridge.errors import BrokerError
from tms_bridge.message import UNROUTABLE_EXCHANGE
from tms_events.wire import REPLAYED_HEADER

PREFETCH: Final = 100
"""How many messages the broker sends ahead of a slow reader."""

MOST_WAITING: Final = 10_000
"""How many messages the broker keeps for a reader that is slower than the bus."""

UNROUTABLE_QUEUE: Final = UNROUTABLE_EXCHANGE
BY_QUEUE: Final = frozenset({"x-delivery-count", "x-acquired-count", "x-stream-offset"})
"""Headers that a quorum queue or a stream adds to what it delivers."""


class Delivery(msgspec.Struct, frozen=True):
    """A message as a consumer sees it.

    Attributes:
        exchange: the exchange that it was published to.
        routing_key: the key it was published by.
        redelivered: whether a consumer of this queue had it before.
        message_id: the event's id, or the quarantine id.
        type: its event type, such as `com.skillable.tms.class.completed`.
        content_type: what the body is.
        timestamp: when the body was first taken in, to the second.
        delivery_mode: 2 where it is persistent.
        app_id: who published it.
        headers: its headers, as they are.
        body: the bytes.
    """

    exchange: str
    routing_key: str
    redelivered: bool
    message_id: str
    type: str
    content_type: str
    timestamp: datetime | None
    delivery_mode: int | None
    app_id: str
    headers: dict[str, object]
    body: bytes


class Subscription:
    """Messages as the broker sends them; whoever waits for one is told when the connection is lost."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._messages: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        session.link.watch(self._note_loss)

    async def put(self, message: AbstractIncomingMessage) -> None:
        """Take one in; this is the consumer's callback."""
        self._messages.put_nowait(message)

    async def get(self) -> AbstractIncomingMessage:
        """Return the next one.

        Raises:
            BrokerError: the connection was lost.
        """
        message = await self._messages.get()
        if message is None:
            raise self._session.closed("the connection was lost")
        return message

    def _note_loss(self) -> None:
        if self._session.link.lost:
            self._messages.put_nowait(None)


async def listen(
    session: Session, exchange: str, keys: Sequence[str], on_ready: Callable[[], object] = lambda: None
) -> AsyncGenerator[Delivery, None]:
    """Yield what is published by these keys, from now on and for ever; the queue is gone with the connection.

    A reader that is too slow loses the oldest messages, not the broker its memory.

    Args:
        session: a connection that nothing else uses.
        exchange: where to listen.
        keys: binding keys.
        on_ready: called once the queue is bound, so that nothing published after it is missed.

    Raises:
        BrokerError: the exchange is missing, a permission is, or the connection was lost.
    """
    incoming = Subscription(session)
    with session.doing("listen"):
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            await _subscribe(await session.channel(), exchange, keys, incoming)
    on_ready()
    while True:
        message = await incoming.get()
        yield _delivery(message)
        with session.doing("acknowledge"):
            await message.ack()


async def _subscribe(
    channel: AbstractChannel, exchange: str, keys: Sequence[str], incoming: Subscription
) -> None:
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.declare_queue(
        exclusive=True, auto_delete=True, arguments={"x-max-length": MOST_WAITING}
    )
    for key in keys:
        await queue.bind(exchange, key)
    await queue.consume(incoming.put)


def _delivery(message: AbstractIncomingMessage) -> Delivery:
    return Delivery(
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        redelivered=bool(message.redelivered),
        message_id=message.message_id or "",
        type=message.type or "",
        content_type=message.content_type or "",
        timestamp=message.timestamp,
        delivery_mode=message.delivery_mode,
        app_id=message.app_id or "",
        headers=dict(message.headers),
        body=message.body,
    )


class Replayed(msgspec.Struct, frozen=True):
    """What came of one event; one that no queue wants yet has gone back to `tms.unroutable`."""

    id: str
    routing_key: str
    routed: bool


async def waiting(session: Session) -> int:
    """Return how many events wait in the queue.

    Raises:
        BrokerError: there is no such queue, or the connection was lost.
    """
    with session.doing(f"look at queue {UNROUTABLE_QUEUE}"):
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            channel = await session.channel()
            queue = await channel.declare_queue(UNROUTABLE_QUEUE, passive=True)
            await channel.close()
    return queue.declaration_result.message_count or 0


async def replay(
    session: Session, exchange: str, at_most: int, key: str = ""
) -> AsyncGenerator[Replayed, None]:
    """Send up to so many events again, oldest first; each leaves the queue once it is confirmed elsewhere.

    With a routing key, those of other keys go to the queue's end unsent and unsaid, which keeps their order.

    One that comes back is published to the queue's exchange once more rather than handed back: a quorum
    queue of RabbitMQ 4 drops what was handed back twenty times.

    Raises:
        BrokerError: the connection was lost, or a publish was refused; what was not confirmed stays.
    """
    channel = await session.confirm_channel()
    queue = await channel.get_queue(UNROUTABLE_QUEUE, ensure=False)
    for _ in range(at_most):
        with session.doing("replay"):
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                message = await queue.get(fail=False)
                if message is None:
                    return
                unsent = bool(key) and message.routing_key != key
                replayed = await _again(channel, message, exchange, unsent=unsent)
                await message.ack()
        if not unsent:
            yield replayed


async def _again(
    channel: AbstractChannel, message: AbstractIncomingMessage, exchange: str, *, unsent: bool
) -> Replayed:
    key = message.routing_key or ""
    routed = not unsent and await publish_copy(channel, message, exchange, key, {REPLAYED_HEADER: True})
    if not routed and not await publish_copy(channel, message, UNROUTABLE_EXCHANGE, key, {}):
        raise BrokerError(f"no queue takes what is published to {UNROUTABLE_EXCHANGE}; apply the topology")
    return Replayed(message.message_id or "", message.routing_key or "", routed)


async def publish_copy(
    channel: AbstractChannel, message: AbstractIncomingMessage, exchange: str, key: str, headers: HeadersType
) -> bool:
    """Publish a message as it is, with some headers more; return whether a queue has it.

    Raises:
        BrokerError: the queue refuses it.
    """
    target = await channel.get_exchange(exchange, ensure=False)
    try:
        await target.publish(_copy(message, headers), key)
    except PublishError:
        return False
    except DeliveryError as refused:
        raise BrokerError(f"a queue refuses {key}: it is full; try again later") from refused
    return True


def _copy(message: AbstractIncomingMessage, headers: HeadersType) -> aio_pika.Message:
    """Return the same message with some headers more, and without what the queue itself put there."""
    copy = aio_pika.Message(
        message.body,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=message.delivery_mode,
        priority=message.priority,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expiration=message.expiration,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        user_id=message.user_id,
        app_id=message.app_id,
    )
    kept = {name: value for name, value in message.headers.items() if name not in BY_QUEUE}
    copy.headers = kept | headers
    return copy
