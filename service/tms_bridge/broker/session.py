"""One AMQP connection from open to closed, with its link and its errors in our words."""

import asyncio
import contextlib
import errno
import re
import ssl
from collections.abc import Iterator
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ProbableAuthenticationError
from yarl import URL

from tms_bridge.broker.link import Link, TapFactory
from tms_bridge.errors import BridgeError, BrokerError, PublisherClosed
from tms_bridge.log import without_addresses

CLOSE_TIMEOUT_S: Final = 2.0
"""How long a polite close may take."""

CHANNEL_TIMEOUT_S: Final = 10.0
"""How long the broker may take to open a channel."""

_ABORT_LEAD_S: Final = 0.1
_ERRNO: Final = re.compile(r"\[Errno (-?\d+)\]")
_SAID: Final = {
    errno.ECONNREFUSED: "connection refused: no broker listens there",
    errno.EHOSTUNREACH: "no route to that host",
    errno.ENETUNREACH: "no route to that network",
}


class Session:
    """An open connection: aio-pika's, plain, with our tap in its transport (see docs/adr/0012)."""

    def __init__(self, connection: aio_pika.Connection, link: Link) -> None:
        self.connection = connection
        self.link = link

    @property
    def frame_max(self) -> int:
        """The largest frame that the broker takes, in bytes."""
        transport = self.connection.transport
        return (transport and transport.connection.connection_tune.frame_max) or 131_072

    @property
    def broker_version(self) -> str:
        """The version that RabbitMQ told at the connect, such as `3.10.8`; empty where it told none."""
        transport = self.connection.transport
        told = transport.connection.server_properties.get("version") if transport else None
        return told.decode() if isinstance(told, bytes) else str(told or "")

    async def channel(self) -> AbstractChannel:
        """Open a channel to declare and consume on.

        Raises:
            BrokerError: the connection was lost, or it took too long.
        """
        with self.doing("open a channel"):
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                return await self.connection.channel(publisher_confirms=False)

    async def confirm_channel(self) -> AbstractChannel:
        """Open a channel on which the broker confirms each publish, and what it returns is an error.

        Raises:
            BrokerError: the connection was lost, or it took too long.
        """
        with self.doing("open a confirm channel"):
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                return await self.connection.channel(publisher_confirms=True, on_return_raises=True)

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Raise whatever the AMQP client raises as a BrokerError, in the broker's words where it gave any."""
        with translated(what, self.link):
            yield

    def words(self, failure: Exception) -> str:
        """Say why something failed."""
        return _words(failure, self.link)

    async def close(self) -> None:
        """Say goodbye, or hang up if that takes too long."""
        with contextlib.suppress(BrokerError), translated("close"):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.connection.close()
        await self.abort()

    async def abort(self) -> None:
        """Hang up; after it no byte is in flight and no task of the connection runs."""
        await _hang_up(self.connection, self.link)

    def closed(self, otherwise: str) -> PublisherClosed:
        """Say why it is closed: in the broker's words where it gave any."""
        closing = self.link.closing
        if closing is None:
            return PublisherClosed(otherwise)
        return PublisherClosed(
            f"the broker closed it: {closing}", by_message=closing.by_message, code=closing.code
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
        with translated(f"connect to {place_of(url)}", link), patience.blamed():
            connection = _connection(url, context, heartbeat_s, name, link)
            try:
                async with asyncio.timeout(timeout_s):
                    await connection.connect()
            except BaseException:
                await _hang_up(connection, link)
                raise
    finally:
        hang_up.cancel()
    return Session(connection, link)


def _connection(
    url: URL, context: ssl.SSLContext | None, heartbeat_s: int, name: str, link: Link
) -> aio_pika.Connection:
    connection = aio_pika.Connection(
        url.update_query(heartbeat=heartbeat_s),
        ssl_context=context,
        client_properties={"connection_name": name},
    )
    # aio-pika hands these on to aiormq, and has no parameter of its own for it.
    connection.kwargs["transport_factory"] = TapFactory(link)
    return connection


async def _hang_up(connection: aio_pika.Connection, link: Link) -> None:
    link.abort()
    with contextlib.suppress(BrokerError), translated("abort"):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.close()


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
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host
    return f"{url.scheme}://{host}:{url.port}{url.path}"


@contextlib.contextmanager
def translated(doing: str, link: Link | None = None) -> Iterator[None]:
    """Raise whatever the AMQP client raises as a BrokerError: the broker is away, or does not want us.

    A lost connection can arrive as CancelledError. It is a real cancellation only if somebody asked
    this task to end.
    """
    try:
        yield
    except BridgeError:
        raise
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokerError(f"{doing}: the connection was lost") from cancelled
    except Exception as failure:  # no list holds all: a peer that hangs up at once is a StopAsyncIteration
        raise BrokerError(f"{doing}: {_words(failure, link)}") from failure


def _plain(failure: OSError) -> str:
    """Say what the system said, without Python's notation for it; empty where that has to be told in full."""
    # Where a name has several addresses, asyncio puts the failures of all into one text.
    codes = {failure.errno} if failure.errno else {*map(int, _ERRNO.findall(str(failure)))}
    code = codes.pop() if len(codes) == 1 else 0
    if code < 0:  # the resolver's numbers
        return f"the host cannot be found: {(failure.strerror or str(failure)).lower()}"
    return _SAID.get(code, "")


def _words(failure: Exception, link: Link | None) -> str:
    """Say why something failed, first of all as the broker does; never show an object."""
    if link is not None and link.closing is not None:
        refused = isinstance(failure, ProbableAuthenticationError)
        whose = "the broker refused the user name or the password: " if refused else "the broker said "
        return f"{whose}{link.closing}"
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    if isinstance(failure, StopAsyncIteration) or isinstance(failure.__cause__, asyncio.IncompleteReadError):
        return "the other side hung up"
    if link is not None and link.said is not None and link.said.text in failure.args:
        return str(link.said)
    plain = _plain(failure) if isinstance(failure, OSError) else ""
    text = plain or without_addresses(str(failure))
    if text and isinstance(failure, AMQPError | OSError):
        return text
    return f"{type(failure).__name__}: {text}"  # a bare text may say nothing: that of a KeyError is a word
