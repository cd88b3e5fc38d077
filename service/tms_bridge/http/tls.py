"""TLS where no proxy does it: connections are accepted here, and cost their room from the first byte.

The event loop shows a connection of a TLS server only once its handshake is over; until then nobody would
count it or end it. So a listener with TLS accepts by itself, and each connection is a `Handshake` first: it
stands among the listener's connections as one that has proved nothing, has the time of a head, and gives way.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from tms_bridge.http.connections import Connections

_AGAIN_S: Final = 0.1
"""How long to wait where nothing can be accepted, as without descriptors."""


class Handshake(asyncio.Protocol):
    """One connection until it is encrypted; then a protocol that `make` returns has it."""

    def __init__(
        self,
        connections: Connections,
        accepted: socket.socket,
        remote: str,
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        self._connections = connections
        self._accepted = accepted
        self._make = make
        self._began = self.progressed = asyncio.get_running_loop().time()
        self._task: asyncio.Task[None] | None = None
        self.remote = remote
        self.proved = False

    @property
    def busy(self) -> bool:
        """Whether a request is being worked on: none has come."""
        return False

    @property
    def new(self) -> bool:
        """Whether nothing was answered on it yet: it is."""
        return True

    def begin(self, context: ssl.SSLContext) -> asyncio.Task[None] | None:
        """Shake hands; None where there is no room for it."""
        if self._connections.enter(self):
            self._task = asyncio.create_task(self._shake_hands(context))
        else:
            self._accepted.close()
        return self._task

    def look(self, now: float) -> str | None:
        """End it if it has had its time; return why."""
        if now - self._began <= self._connections.limits.head_timeout_s:
            return None
        self.cut_off()
        return "handshake_timeout"

    def cut_off(self) -> None:
        """End it at once."""
        self._connections.leave(self)
        self._hang_up()
        if self._task is not None:
            self._task.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is encrypted: give it up, with its room."""
        self._connections.leave(self)
        protocol = self._make()
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self, self._accepted, ssl=context)
        except OSError:  # it hung up, or speaks something else: scanners do so all day
            self._hang_up()
        finally:
            self._connections.leave(self)

    def _hang_up(self) -> None:
        """End the connection, which not every event loop does when a handshake fails."""
        with contextlib.suppress(OSError):
            self._accepted.shutdown(socket.SHUT_RDWR)


class Acceptor:
    """Accepts on one socket for as long as it is open."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        connections: Connections,
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        self._listening = listening
        self._context = context
        self._connections = connections
        self._make = make
        self._shaking: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and let go of those who are not encrypted yet."""
        for task in (self._task, *self._shaking):
            task.cancel()
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, name = await loop.sock_accept(self._listening)
            except OSError:
                await asyncio.sleep(_AGAIN_S)
                continue
            handshake = Handshake(self._connections, accepted, str(name[0]), self._make)
            if (task := handshake.begin(self._context)) is not None:
                self._shaking.add(task)
                task.add_done_callback(self._shaking.discard)
