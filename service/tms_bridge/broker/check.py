"""Tries whether publishing would work, without leaving anything behind."""

import asyncio
import secrets

import aio_pika
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, PublishError

from tms_bridge.broker.session import CHANNEL_TIMEOUT_S, Session
from tms_events.wire import APP_ID

CHECK_TYPE = "com.skillable.tms.check"
"""Type of the test message, in case somebody's queue is bound to everything."""

_GONE_AFTER_S = 1


async def try_publishing(session: Session, exchange: str) -> str | None:
    """Publish a message that vanishes by a key that nobody else uses; say what is wrong, or None.

    Raises:
        BrokerError: the connection was lost.
    """
    key = f"tms-bridge.check.{secrets.token_hex(4)}"
    message = aio_pika.Message(b"", message_id=key, type=CHECK_TYPE, app_id=APP_ID, expiration=_GONE_AFTER_S)
    channel = await session.confirm_channel()
    with session.doing("test publish"):
        try:
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                await (await channel.get_exchange(exchange, ensure=False)).publish(message, key)
        except PublishError:
            pass  # no queue wanted it, which is what a key of our own should meet
        except ChannelNotFoundEntity:
            return f"there is no exchange {exchange}"
        except ChannelClosed as refused:
            return f"the user may not write to exchange {exchange}: {session.words(refused)}"
        except TimeoutError:
            return "the broker does not confirm: an alarm blocks publishing, or it is overloaded"
        await channel.close()
    return None
