"""Tries whether publishing would work, without leaving anything behind."""

import asyncio
import secrets

from aiormq import spec
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, PublishError

from tms_bridge.broker.session import CHANNEL_TIMEOUT_S, Session, translated
from tms_events.wire import APP_ID

CHECK_TYPE = "com.skillable.tms.check"
"""Type of the test message, in case somebody's queue is bound to everything."""

_GONE_AFTER_MS = "1000"


async def try_publishing(session: Session, exchange: str) -> str | None:
    """Publish a message that vanishes by a key that nobody else uses; say what is wrong, or None.

    Raises:
        BrokerError: the connection was lost.
    """
    key = f"tms-bridge.check.{secrets.token_hex(4)}"
    properties = spec.Basic.Properties(
        message_id=key, message_type=CHECK_TYPE, app_id=APP_ID, delivery_mode=1, expiration=_GONE_AFTER_MS
    )
    channel = await session.confirm_channel()
    with translated("test publish"):
        try:
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                await channel.basic_publish(
                    b"", exchange=exchange, routing_key=key, properties=properties, mandatory=True
                )
        except PublishError:
            pass  # no queue wanted it, which is what a key of our own should meet
        except ChannelNotFoundEntity:
            return f"there is no exchange {exchange}"
        except ChannelAccessRefused as refused:
            return f"the user may not write to exchange {exchange}: {refused}"
        except TimeoutError:
            return "the broker does not confirm: an alarm blocks publishing, or it is overloaded"
        await channel.close()
    return None
