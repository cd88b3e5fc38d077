"""Shows messages as they arrive on the bus, through a queue of the listener's own."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from aiormq.abc import AbstractChannel, DeliveredMessage

from tms_bridge.broker.session import CHANNEL_TIMEOUT_S, Session, translated

PREFETCH: Final = 100
"""How many messages the broker sends ahead of a slow reader."""

MOST_WAITING: Final = 10_000
"""How many messages the broker keeps for a reader that is slower than the bus."""


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
    inbox: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()

    def note_loss() -> None:
        if session.link.lost:
            inbox.put_nowait(None)

    session.link.on_change = note_loss
    with translated("listen"):
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            channel = await _subscribe(session, exchange, keys, inbox)
    on_ready()
    while (message := await inbox.get()) is not None:
        yield _delivery(message)
        with translated("acknowledge"):
            await channel.basic_ack(message.delivery_tag or 0, wait=False)
    raise session.closed("the connection was lost")


async def _subscribe(
    session: Session, exchange: str, keys: Sequence[str], inbox: asyncio.Queue[DeliveredMessage | None]
) -> AbstractChannel:
    channel = await session.connection.channel(publisher_confirms=False)
    declared = await channel.queue_declare(
        exclusive=True, auto_delete=True, arguments={"x-max-length": MOST_WAITING}
    )
    queue = declared.queue or ""
    for key in keys:
        await channel.queue_bind(queue, exchange, key)
    await channel.basic_qos(prefetch_count=PREFETCH)
    await channel.basic_consume(queue, inbox.put)
    return channel


def _delivery(message: DeliveredMessage) -> Delivery:
    properties = message.header.properties
    return Delivery(
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        redelivered=bool(message.redelivered),
        message_id=properties.message_id or "",
        type=properties.message_type or "",
        content_type=properties.content_type or "",
        timestamp=properties.timestamp,
        delivery_mode=properties.delivery_mode,
        app_id=properties.app_id or "",
        headers=dict(properties.headers or {}),
        body=message.body,
    )
