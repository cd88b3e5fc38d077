"""A host that takes connections and is no broker, or one only up to a point.

Such is HAProxy while its backend is down, Docker's proxy before RabbitMQ listens, and a broker that dies
while it greets.
"""

import asyncio
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.common import FieldTable

PROTOCOL_HEADER_BYTES: Final = 8
SERVER_PROPERTIES: Final[FieldTable] = {"capabilities": {"publisher_confirms": True, "basic.nack": True}}
JUNK: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + bytes(range(256))


class Manner(enum.StrEnum):
    """What it does with each connection."""

    CLOSE = "accept and close"
    SILENT = "accept and stay silent"
    JUNK = "answer with bytes that are no AMQP"
    CLOSE_FOR_START = "close instead of Start"
    CLOSE_FOR_TUNE = "close instead of Tune"
    CLOSE_FOR_OPEN_OK = "close instead of OpenOk"
    CLOSE_AFTER_OPEN_OK = "close after OpenOk"
    SILENT_FOR_TUNE = "stay silent instead of Tune"
    SILENT_AFTER_OPEN_OK = "stay silent after OpenOk"


_ANSWERS: Final[dict[str, Frame]] = {
    "Connection.StartOk": commands.Connection.Tune(channel_max=2047, frame_max=131_072, heartbeat=10),
    "Connection.Open": commands.Connection.OpenOk(),
}

_ENDS: Final = {
    Manner.CLOSE_FOR_TUNE: "Connection.StartOk",
    Manner.SILENT_FOR_TUNE: "Connection.StartOk",
    Manner.CLOSE_FOR_OPEN_OK: "Connection.Open",
    Manner.CLOSE_AFTER_OPEN_OK: "Channel.Open",
    Manner.SILENT_AFTER_OPEN_OK: "Channel.Open",
}
"""The client's method that is answered no more."""

_CLOSES: Final = {Manner.CLOSE_FOR_TUNE, Manner.CLOSE_FOR_OPEN_OK, Manner.CLOSE_AFTER_OPEN_OK}


class HalfOpenBroker(asyncio.Protocol):
    """One connection to it."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._unread = b""
        self._greeted = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._manner is Manner.CLOSE:
            transport.close()

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        assert transport is not None
        self._unread += data
        if not self._greeted and len(self._unread) >= PROTOCOL_HEADER_BYTES:
            self._unread = self._unread[PROTOCOL_HEADER_BYTES:]
            self._greeted = True
            self._greet(transport)
        if self._greeted and self._manner not in (Manner.SILENT, Manner.JUNK):
            self._answer(transport)

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def _greet(self, transport: asyncio.Transport) -> None:
        if self._manner is Manner.CLOSE_FOR_START:
            transport.close()
        elif self._manner is Manner.JUNK:
            transport.write(JUNK)
        elif self._manner is not Manner.SILENT:
            start = commands.Connection.Start(0, 9, SERVER_PROPERTIES, "PLAIN", "en_US")
            transport.write(frame.marshal(start, 0))

    def _answer(self, transport: asyncio.Transport) -> None:
        while self._unread and not transport.is_closing():
            size, channel, method = frame.unmarshal(self._unread)
            self._unread = self._unread[size:]
            if method.name == _ENDS.get(self._manner):
                if self._manner in _CLOSES:
                    transport.close()
                return
            if method.name in _ANSWERS:
                transport.write(frame.marshal(_ANSWERS[method.name], channel))


@asynccontextmanager
async def half_open(manner: Manner, port: int = 0) -> AsyncIterator[int]:
    """Listen on 127.0.0.1 as such a host; yields the port."""
    loop = asyncio.get_running_loop()
    made: list[HalfOpenBroker] = []

    def make() -> HalfOpenBroker:
        made.append(HalfOpenBroker(manner))
        return made[-1]

    server = await loop.create_server(make, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in made:
            each.abort()
