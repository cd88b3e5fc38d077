"""Tries whether the bridge could do its work with this user, without leaving anything behind.

RabbitMQ looks at permissions before it looks at what is asked. So each right is asked for with something that
it must refuse in the next step: a declaration with an argument of a wrong type, a publish with an expiration
of less than nothing, the end of a binding that never was. "Not allowed" is the answer that counts; any other
refusal says that the right is there.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPChannelError, ChannelClosed, ChannelNotFoundEntity, PublishError

from tms_bridge.broker.session import CHANNEL_TIMEOUT_S, Session
from tms_bridge.broker.topology import ACCESS_REFUSED, Part
from tms_bridge.message import QUARANTINE_EXCHANGE, UNROUTABLE_EXCHANGE
from tms_events.wire import APP_ID, CHECK_TYPE

_GONE_AFTER_S: Final = 1
_IMPOSSIBLE_S: Final = -1
_OF_A_WRONG_TYPE: Final = 1

Attempt = Callable[[AbstractChannel], Awaitable[object]]


async def missing_rights(
    session: Session, parts: Sequence[Part], exchange: str, keys: Sequence[str]
) -> list[str]:
    """Return what the user may not do of what `serve` will, each with the broker's words.

    Args:
        session: a connection of that user.
        parts: what will be declared; none where it is only looked at.
        exchange: where events are published.
        keys: the routing keys of all events.

    Raises:
        BrokerError: the connection was lost.
    """
    problems = [problem async for problem in _not_declared(session, parts)]
    targets = [(exchange, key) for key in keys]
    targets += [(name, "") for name in (UNROUTABLE_EXCHANGE, QUARANTINE_EXCHANGE)]
    for name, key in targets:
        refused = await _refused(
            session, partial(_publish, exchange=name, key=key, expiration_s=_IMPOSSIBLE_S)
        )
        if refused is not None:
            problems.append(f"the user may not publish to exchange {name}{key and f' by {key}'}: {refused}")
    return problems


async def _not_declared(session: Session, parts: Sequence[Part]) -> AsyncIterator[str]:
    for part in parts:
        attempt = _unbind if part.kind == "binding" else _declare_wrongly
        refused = await _refused(session, partial(attempt, part=part))
        if refused is not None:
            yield f"the user may not make the {part}: {refused}"


async def _refused(session: Session, attempt: Attempt) -> str | None:
    """Return how the broker says that this is not allowed; None: it is."""
    with session.doing("look at the user's rights"):
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            channel = await session.confirm_channel()
            try:
                await attempt(channel)
            except AMQPChannelError as failure:
                said = session.link.said
                return session.words(failure) if said is not None and said.code == ACCESS_REFUSED else None
            await channel.close()
            return None


async def _declare_wrongly(channel: AbstractChannel, part: Part) -> object:
    if part.kind == "exchange":
        return await channel.declare_exchange(
            part.name, part.exchange_type, durable=True, arguments={"alternate-exchange": _OF_A_WRONG_TYPE}
        )
    return await channel.declare_queue(
        part.name,
        durable=True,
        arguments={**dict(part.arguments), "x-dead-letter-exchange": _OF_A_WRONG_TYPE},
    )


async def _unbind(channel: AbstractChannel, part: Part) -> object:
    queue = await channel.get_queue(part.name, ensure=False)
    return await queue.unbind(part.exchange, _scratch_key())


async def _publish(channel: AbstractChannel, exchange: str, key: str, expiration_s: float) -> object:
    message = aio_pika.Message(
        b"", message_id=_scratch_key(), type=CHECK_TYPE, app_id=APP_ID, expiration=expiration_s
    )
    return await (await channel.get_exchange(exchange, ensure=False)).publish(message, key)


async def try_publishing(session: Session, exchange: str) -> str | None:
    """Publish a message that vanishes by a key that nobody else uses; say what is wrong, or None.

    Raises:
        BrokerError: the connection was lost.
    """
    with session.doing("test publish"):
        try:
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                await _is_bound(session, exchange, _scratch_key())
        except TimeoutError:
            return "the broker does not confirm: an alarm blocks publishing, or it is overloaded"
        except ChannelNotFoundEntity:
            return f"there is no exchange {exchange}"
        except ChannelClosed as refused:
            return f"the user may not write to exchange {exchange}: {session.words(refused)}"
        return None


async def unbound(session: Session, exchange: str, prefix: str, keys: Sequence[str]) -> list[str]:
    """Return those of a prefix's routing keys to which no queue is bound.

    That cannot be asked for over AMQP, so a message is published that vanishes within a second. Where a queue
    takes all of a prefix, one by a key that no event has is enough; else each of these keys gets one.

    Raises:
        BrokerError: the connection was lost, or an alarm blocks publishing.
    """
    with session.doing("look for bindings"):
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            if not keys or await _is_bound(session, exchange, f"{prefix}.{_scratch_key()}"):
                return []
            return [key for key in keys if not await _is_bound(session, exchange, key)]


async def _is_bound(session: Session, exchange: str, key: str) -> bool:
    channel = await session.confirm_channel()
    try:
        await _publish(channel, exchange, key, _GONE_AFTER_S)
    except PublishError:
        return False
    finally:
        if not channel.is_closed:
            await channel.close()
    return True


def _scratch_key() -> str:
    return f"tms-bridge.check.{secrets.token_hex(4)}"
