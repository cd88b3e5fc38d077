"""Listens to the bus: the events of an exchange, through a queue that exists only as long as one listens."""

import asyncio
from collections.abc import Iterable
from typing import Final, Self

import msgspec
from aiormq.abc import AbstractChannel, DeliveredMessage

from tms_bridge.broker.session import Session, translated

PREFETCH: Final = 256

MOST_WAITING: Final = 10_000
"""A listener that is slower than the bus must not fill the broker: the oldest go first."""

_PROPERTIES: Final = {
    "message_id": "message_id",
    "type": "message_type",
    "content_type": "content_type",
    "content_encoding": "content_encoding",
    "delivery_mode": "delivery_mode",
    "timestamp": "timestamp",
    "app_id": "app_id",
    "correlation_id": "correlation_id",
    "expiration": "expiration",
    "priority": "priority",
    "reply_to": "reply_to",
    "user_id": "user_id",
}
"""AMQP's names of the properties, and the client's."""


class Delivery(msgspec.Struct, frozen=True):
    """One message as it came off the bus; properties that are not set are left out."""

    routing_key: str
    exchange: str
    redelivered: bool
    properties: dict[str, object]
    headers: dict[str, object]
    body: bytes


class Listener:
    """A queue of its own, bound to an exchange."""

    def __init__(self, session: Session, channel: AbstractChannel) -> None:
        self._session = session
        self._channel = channel
        self._arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        self._closing = channel.closing

    @classmethod
    async def open(cls, session: Session, exchange: str, bindings: Iterable[str]) -> Self:
        """Declare the queue, bind it and consume from it.

        Raises:
            BrokerError: the exchange is missing, or the user may not do that.
        """
        with translated(f"listen to exchange {exchange}"):
            channel = await session.connection.channel(publisher_confirms=False)
            await channel.basic_qos(prefetch_count=PREFETCH)
            declared = await channel.queue_declare(
                exclusive=True, auto_delete=True, arguments={"x-max-length": MOST_WAITING}
            )
            queue = (declared and declared.queue) or ""
            for binding in bindings:
                await channel.queue_bind(queue, exchange, binding)
            listener = cls(session, channel)
            await channel.basic_consume(queue, listener._arrived.put)
        return listener

    async def next(self) -> Delivery:
        """Wait for the next message, and take it off the queue.

        Raises:
            BrokerError: the connection or the channel was lost.
        """
        message = await self._next()
        with translated("acknowledge"):
            await self._channel.basic_ack(message.delivery_tag or 0)
        return delivery_of(message)

    async def _next(self) -> DeliveredMessage:
        if not self._arrived.empty():
            return self._arrived.get_nowait()
        arrival = asyncio.create_task(self._arrived.get())
        try:
            await asyncio.wait((arrival, self._closing), return_when=asyncio.FIRST_COMPLETED)
            if arrival.done():
                return arrival.result()
        finally:
            arrival.cancel()
        raise self._session.closed("the connection to the broker was lost")


def delivery_of(message: DeliveredMessage) -> Delivery:
    """Return a message in our words."""
    properties = message.header.properties
    named = {name: getattr(properties, theirs, None) for name, theirs in _PROPERTIES.items()}
    return Delivery(
        routing_key=message.routing_key or "",
        exchange=message.exchange or "",
        redelivered=bool(message.redelivered),
        properties={name: value for name, value in named.items() if value is not None},
        headers=dict(properties.headers or {}),
        body=message.body,
    )
