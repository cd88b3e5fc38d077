"""How a command reaches the broker: on a connection of its own, by the configured URLs."""

import contextlib
import logging
from collections.abc import AsyncIterator

from yarl import URL

from tms_bridge.broker.session import Session, open_session
from tms_bridge.broker.supervisor import amqp_url, tls_context
from tms_bridge.errors import BrokerError
from tms_bridge.settings.model import Amqp

CONNECT_TIMEOUT_S = 10.0
NAME = "tms-bridge command line"


async def connect(amqp: Amqp, url: URL) -> Session:
    """Open a connection to one broker.

    Raises:
        BrokerError: it cannot be reached or refuses; the text says why, without the password.
    """
    # What the AMQP client logs comes as an error too; its tracebacks are not for whoever types a command.
    for client in ("aiormq", "aio_pika"):
        logging.getLogger(client).addHandler(logging.NullHandler())
    return await open_session(
        url,
        context=tls_context(url),
        heartbeat_s=amqp.heartbeat_s,
        name=NAME,
        timeout_s=CONNECT_TIMEOUT_S,
    )


@contextlib.asynccontextmanager
async def open_broker(amqp: Amqp) -> AsyncIterator[Session]:
    """Open a connection to the first broker that answers, and close it in the end.

    Raises:
        BrokerError: none answers; the text says why for each.
    """
    failures = []
    for url in map(amqp_url, amqp.urls):
        try:
            session = await connect(amqp, url)
        except BrokerError as failure:
            failures.append(str(failure))
            continue
        try:
            yield session
        finally:
            await session.close()
        return
    raise BrokerError("\n".join(failures))
