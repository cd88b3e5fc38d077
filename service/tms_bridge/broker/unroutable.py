"""The events that no queue wanted: how many wait in `tms.unroutable`, and sending them again."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from aiormq import spec
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import DeliveryError, PublishError
from pamqp.common import FieldTable

from tms_bridge.broker.session import CHANNEL_TIMEOUT_S, Session, translated
from tms_bridge.errors import BrokerError
from tms_bridge.message import UNROUTABLE_EXCHANGE

QUEUE: Final = UNROUTABLE_EXCHANGE
REPLAYED: Final = "tms-replayed"
BY_QUEUE: Final = frozenset({"x-delivery-count", "x-acquired-count"})
"""Headers that a quorum queue adds to what it delivers."""


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
    with translated(f"look at queue {QUEUE}"):
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            channel = await session.connection.channel(publisher_confirms=False)
            declared = await channel.queue_declare(QUEUE, passive=True)
            await channel.close()
    return declared.message_count or 0


async def replay(session: Session, exchange: str, at_most: int) -> AsyncGenerator[Replayed, None]:
    """Send up to so many events again, oldest first; each leaves the queue once it is confirmed elsewhere.

    One that comes back is published to the queue's exchange once more rather than handed back: a quorum
    queue of RabbitMQ 4 drops what was handed back twenty times.

    Raises:
        BrokerError: the connection was lost, or a publish was refused; what was not confirmed stays.
    """
    channel = await session.confirm_channel()
    for _ in range(at_most):
        with translated("replay"):
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                message = await channel.basic_get(QUEUE)
                if isinstance(message.delivery, spec.Basic.GetEmpty):
                    return
                replayed = await _again(channel, message, exchange)
                await channel.basic_ack(message.delivery_tag or 0)
        yield replayed


async def _again(channel: AbstractChannel, message: DeliveredMessage, exchange: str) -> Replayed:
    properties = message.header.properties
    routed = await _publish(channel, message, exchange, {REPLAYED: True})
    if not routed and not await _publish(channel, message, UNROUTABLE_EXCHANGE, {}):
        raise BrokerError(f"no queue takes what is published to {UNROUTABLE_EXCHANGE}; apply the topology")
    return Replayed(properties.message_id or "", message.routing_key or "", routed)


async def _publish(
    channel: AbstractChannel, message: DeliveredMessage, exchange: str, headers: FieldTable
) -> bool:
    """Publish a message as it is; return whether a queue has it."""
    try:
        await channel.basic_publish(
            message.body,
            exchange=exchange,
            routing_key=message.routing_key or "",
            properties=_with(message.header.properties, headers),
            mandatory=True,
        )
    except PublishError:
        return False
    except DeliveryError as refused:
        raise BrokerError(f"a queue refuses {message.routing_key}: it is full; try again later") from refused
    return True


def _with(properties: spec.Basic.Properties, headers: FieldTable) -> spec.Basic.Properties:
    """Return the same properties with some headers more, and without what the queue itself put there."""
    values = {name: getattr(properties, name) for name in spec.Basic.Properties.attributes()}
    kept = {name: value for name, value in (properties.headers or {}).items() if name not in BY_QUEUE}
    return spec.Basic.Properties(**{**values, "headers": kept | headers})
