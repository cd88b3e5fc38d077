"""One AMQP connection from open to closed, with its link and its errors in our words."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Final

import aiormq
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError, ProbableAuthenticationError
from yarl import URL

from tms_bridge.broker.link import Link, TapFactory
from tms_bridge.errors import BrokerError, PublisherClosed

CLOSE_TIMEOUT_S: Final = 2.0
"""How long a polite close may take."""

CHANNEL_TIMEOUT_S: Final = 10.0
"""How long the broker may take to open a channel."""

_ABORT_LEAD_S: Final = 0.1


class Session:
    """An open connection."""

    def __init__(self, connection: aiormq.Connection, link: Link) -> None:
        self.connection = connection
        self.link = link

    @property
    def frame_max(self) -> int:
        """The largest frame that the broker takes, in bytes."""
        return self.connection.connection_tune.frame_max or 131_072

    async def confirm_channel(self) -> AbstractChannel:
        """Open a channel on which the broker confirms each publish.

        Raises:
            BrokerError: the connection was lost, or it took too long.
        """
        with translated("open a confirm channel"):
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                return await self.connection.channel(publisher_confirms=True)

    async def close(self) -> None:
        """Say goodbye, or hang up if that takes too long."""
        with contextlib.suppress(BrokerError), translated("close"):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.connection.close()
        await self.abort()

    async def abort(self) -> None:
        """Hang up; after it no byte is in flight and no task of the connection runs."""
        self.link.abort()
        with contextlib.suppress(BrokerError), translated("abort"):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.connection.close()

    def closed(self, otherwise: str) -> PublisherClosed:
        """Say why it is closed: in the broker's words where it gave any."""
        closing = self.link.closing
        if closing is None:
            return PublisherClosed(otherwise)
        return PublisherClosed(
            f"the broker closed it: {closing.code} {closing.text}",
            by_message=closing.by_message,
            code=closing.code,
        )


async def open_session(
    url: URL, *, context: ssl.SSLContext | None, heartbeat_s: int, name: str, timeout_s: float
) -> Session:
    """Connect to one URL.

    Raises:
        BrokerError: it could not be done in time; the text says why, without the password.
    """
    link = Link()
    patience = _Patience(link)
    hang_up = asyncio.get_running_loop().call_later(timeout_s - _ABORT_LEAD_S, patience.end)
    try:
        with translated(f"connect to {place_of(url)}"), patience.blamed():
            async with asyncio.timeout(timeout_s):
                connection = aiormq.Connection(
                    url.update_query(heartbeat=heartbeat_s),
                    context=context,
                    client_properties={"connection_name": name},
                    transport_factory=TapFactory(link),
                )
                await connection.connect()
    finally:
        hang_up.cancel()
    return Session(connection, link)


class _Patience:
    """Hangs up on a host that takes too long, and remembers that it did.

    A TLS stream to a silent peer would wait for its goodbye when it is closed; an aborted one does not.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ended = False

    def end(self) -> None:
        self._ended = True
        self._link.abort()

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Blame our own patience, not the broker, for what fails once we have hung up."""
        try:
            yield
        except Exception as failure:
            if not self._ended:
                raise
            raise TimeoutError from failure


def place_of(url: URL) -> str:
    """Name a broker without its credentials."""
    return f"{url.scheme}://{url.host}:{url.port}{url.path}"


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise whatever the AMQP client raises as a BrokerError: the broker is away, or does not want us.

    A lost connection can arrive as CancelledError. It is a real cancellation only if somebody asked
    this task to end.
    """
    try:
        yield
    except BrokerError:
        raise
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokerError(f"{doing}: the connection was lost") from cancelled
    except Exception as failure:  # no list holds all: a peer that hangs up at once is a StopAsyncIteration
        raise BrokerError(f"{doing}: {_why(failure)}") from failure


def _why(failure: Exception) -> str:
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    if isinstance(failure, StopAsyncIteration) or isinstance(failure.__cause__, asyncio.IncompleteReadError):
        return "the other side hung up"
    if isinstance(failure, ProbableAuthenticationError):
        return "the broker refused the user name or the password"
    if str(failure) and isinstance(failure, AMQPError | OSError):
        return str(failure)
    return f"{type(failure).__name__}: {failure}"  # a bare text may say nothing: that of a KeyError is a word
