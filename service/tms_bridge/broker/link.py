"""One connection's bytes, seen on their way: what the AMQP client does not tell, told.

aiormq lets its user make the transport. Ours is a plain asyncio stream whose protocol looks at each frame
before aiormq does. It notes when the broker blocks or unblocks the connection and why it closes, none of
which aiormq reports; and it can keep the frames of one channel to itself (see `publisher`).
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from aiohappyeyeballs import start_connection
from aiormq import AMQPConnectionError
from aiormq.connection import SSLContextProvider, TransportFactory
from yarl import URL

METHOD_FRAME: Final = 1
FRAME_HEADER: Final = struct.Struct(">BHI")
FRAME_OVERHEAD: Final = FRAME_HEADER.size + 1
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"

NEXT_ADDRESS_AFTER_S: Final = 0.25
"""How long an address may take before the next one of the same name is tried beside it (RFC 8305)."""

_DISCARD: Final = struct.pack("ii", 1, 0)
_METHOD: Final = struct.Struct(">HH")
_CLOSE: Final = struct.Struct(">HB")
_CONNECTION_CLOSE: Final = (10, 50)
_CONNECTION_BLOCKED: Final = (10, 60)
_CONNECTION_UNBLOCKED: Final = (10, 61)
_CHANNEL_CLOSE: Final = (20, 40)
_BASIC_PUBLISH: Final = (60, 40)

_BLAMES_A_FRAME: Final = frozenset({501, 502, 503, 505})
"""Codes of a closed connection that say: what you sent cannot be read."""

_BLAMES_NOBODY: Final = frozenset({200, 320, 541})
"""Codes that say nothing of a message: normal, forced by an operator, the broker's own fault."""

Claim = Callable[[int, bytes, int, int], bool]
"""Takes (frame type, buffer, start, size) of a frame on the claimed channel; false: leave it to aiormq."""


class _Closing(NamedTuple):
    """Why the broker closed the channel or the connection."""

    code: int
    text: str
    cause: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.code} {self.text}"

    @property
    def by_message(self) -> bool:
        """Whether something that was published is to blame."""
        if self.code in _BLAMES_NOBODY:
            return False
        return self.cause == _BASIC_PUBLISH or self.code in _BLAMES_A_FRAME


class Link:
    """What is known of one connection's socket.

    Attributes:
        blocked: the broker's memory or disk alarm is on, and it said so.
        unblocked_at: when it last said that the alarm is off, on the loop's clock.
        stalled: the socket takes no more bytes just now.
        lost: the socket is closed.
        closing: why the broker closed the publishing channel or the connection, where it said so.
        said: what the broker said last as it closed any channel, or the connection.
    """

    def __init__(self) -> None:
        self.blocked = False
        self.unblocked_at = float("-inf")
        self.stalled = False
        self.lost = False
        self.frames_seen = 0
        self.closing: _Closing | None = None
        self.said: _Closing | None = None
        self._watchers: list[Callable[[], None]] = []
        self.transport: asyncio.Transport | None = None
        self.publishing_channel: int | None = None
        self.claim: Claim | None = None

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call this whenever anything changes."""
        self._watchers.append(watcher)

    def changed(self) -> None:
        """Tell whoever watches."""
        for watcher in self._watchers:
            watcher()

    def abort(self) -> None:
        """Close the socket now; what it had not sent is never sent, even where aiormq is closing it."""
        if self.transport is not None and not self.lost:
            self.transport.abort()

    def note_method(self, channel: int, payload: bytes) -> None:
        """Look at a method that the broker sent; what cannot be read is left to aiormq to complain of."""
        with contextlib.suppress(struct.error):
            self._note(channel, payload)

    def _note(self, channel: int, payload: bytes) -> None:
        method = _METHOD.unpack_from(payload)
        if channel == 0 and method == _CONNECTION_CLOSE:
            self.said = _closing(payload)
            self._close(self.said)
        elif channel == 0 and method == _CONNECTION_BLOCKED:
            self.blocked = True
            self.changed()
        elif channel == 0 and method == _CONNECTION_UNBLOCKED:
            self.blocked = False
            self.unblocked_at = asyncio.get_running_loop().time()
            self.changed()
        elif method == _CHANNEL_CLOSE:
            self.said = _closing(payload)
            if channel == self.publishing_channel:
                self._close(self.said)

    def _close(self, closing: _Closing) -> None:
        """Keep the first reason: what follows a closed channel only says that it is closed."""
        if self.closing is None:
            self.closing = closing
            self.changed()


def _closing(payload: bytes) -> _Closing:
    code, length = _CLOSE.unpack_from(payload, _METHOD.size)
    start = _METHOD.size + _CLOSE.size
    text = payload[start : start + length].decode(errors="replace")
    return _Closing(code, text, _METHOD.unpack_from(payload, start + length))


class FrameTap(asyncio.StreamReaderProtocol):
    """Shows each frame to the link, and hands on to aiormq's reader those that nobody claims."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._link = link
        self._clock = loop.time
        self._rest = b""
        self._heartbeat_due = 0.0

    def data_received(self, data: bytes) -> None:
        """Cut the bytes into frames."""
        if self._rest:
            data = self._rest + data
        position = handed_on = 0
        end = len(data)
        while end - position >= FRAME_OVERHEAD:
            kind, channel, size = FRAME_HEADER.unpack_from(data, position)
            after = position + FRAME_OVERHEAD + size
            if after > end:
                break
            if self._is_claimed(kind, channel, data, position + FRAME_HEADER.size, size):
                self._hand_on(data[handed_on:position])
                handed_on = after
            position = after
        self._hand_on(data[handed_on:position])
        self._rest = data[position:]
        if handed_on:
            self._prove_life()

    def _is_claimed(self, kind: int, channel: int, data: bytes, start: int, size: int) -> bool:
        link = self._link
        if (
            link.claim is not None
            and channel == link.publishing_channel
            and link.claim(kind, data, start, size)
        ):
            return True
        link.frames_seen += 1
        if kind == METHOD_FRAME:
            link.note_method(channel, data[start : start + size])
        return False

    def _hand_on(self, frames: bytes) -> None:
        if frames:
            super().data_received(frames)

    def _prove_life(self) -> None:
        """A broker that confirms sends no heartbeats: tell aiormq in its words that the peer is there."""
        now = self._clock()
        if now >= self._heartbeat_due:
            self._heartbeat_due = now + 1.0
            super().data_received(HEARTBEAT)

    def pause_writing(self) -> None:
        """Note that the socket is full."""
        super().pause_writing()
        self._link.stalled = True

    def resume_writing(self) -> None:
        """Note that the socket takes bytes again."""
        super().resume_writing()
        self._link.stalled = False
        self._link.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the socket is closed."""
        super().connection_lost(exc)
        self._link.lost = True
        self._link.changed()


class TapFactory(TransportFactory):
    """Makes aiormq's transport, with a link in it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the URL's host, with TLS exactly if its scheme is amqps."""
        tls: SSLContextProvider = kwargs["ssl_context_provider"]
        host = url.host or "localhost"
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        context = await tls.get_context() if url.scheme == "amqps" else None
        try:
            wire = await _reach(host, url.port or 5672, loop)
            transport, protocol = await loop.create_connection(
                lambda: FrameTap(self._link, reader, loop),
                sock=wire,
                ssl=context,
                server_hostname=host if context else None,
            )
        except OSError as failure:
            raise AMQPConnectionError(*failure.args) from failure
        self._link.transport = transport
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _reach(host: str, port: int, loop: asyncio.AbstractEventLoop) -> socket.socket:
    """Connect to the first of a host's addresses that answers: a dead one costs a moment (RFC 8305)."""
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    wire = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S, loop=loop)
    # Whoever closes it, aiormq too: else the kernel goes on sending what we have given up by then.
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
    return wire
