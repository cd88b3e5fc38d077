"""Listening sockets, opened before anything else so that a taken port is found at once."""

import asyncio
import errno
import select
import socket
import ssl
from collections.abc import Sequence
from typing import Final, cast

from aiohttp import web

from tms_bridge.errors import SettingsError
from tms_bridge.http.connections import ACCEPT_QUEUE
from tms_bridge.http.server import Server
from tms_bridge.http.tls import Acceptor
from tms_bridge.settings.network import Listen, parse_listens

_HINTS: Final = {
    errno.EADDRINUSE: "another process listens there; stop it or choose another port",
    errno.EACCES: "ports under 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}

BUFFER_BYTES: Final = 131_072
"""What the kernel may hold of a connection each way, times two.

Left to itself it takes megabytes from whoever sends what nobody reads, or reads nothing, until it slows down
every connection of the machine.
"""


def open_sockets(key: str, listen: str | tuple[str, ...]) -> list[socket.socket]:
    """Bind every address of one key.

    Raises:
        SettingsError: an address cannot be bound; the text says why.
    """
    listens = parse_listens(listen)
    opened: list[socket.socket] = []
    try:
        for address in listens:
            opened += _bind(address, listens)
    except OSError as error:
        for listening in opened:
            listening.close()
        hint = _HINTS.get(error.errno or 0, error.strerror or str(error))
        raise SettingsError(f"{key}: cannot listen on {', '.join(map(str, listens))}: {hint}") from error
    return opened


def _bind(address: Listen, others: Sequence[Listen]) -> list[socket.socket]:
    if address.host is None and socket.has_dualstack_ipv6():
        return [_open(socket.AF_INET6, ("::", address.port), dual=True)]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    dual = address.host == "::" and all(":" in (other.host or "") for other in others)
    return [_open(family, where, dual=dual) for family, _, _, _, where in found]


def _open(family: int, where: tuple[object, ...], *, dual: bool) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # accepted connections have the same
            listening.setsockopt(socket.SOL_SOCKET, buffer, BUFFER_BYTES)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        listening.bind(where)
        listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError:
        listening.close()
        raise
    return listening


def name_of(listening: socket.socket) -> str:
    """Return `host:port` as it would stand in a URL."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Site(web.SockSite):
    """A bound socket of a runner, with TLS where there is a context."""

    async def start(self) -> None:
        """Listen."""
        server = self._runner.server
        if self._ssl_context is None or not isinstance(server, Server):
            await super().start()
            return
        self._runner._reg_site(self)  # noqa: SLF001 - as each start of a site does; aiohttp is pinned
        self._sock.listen(self._backlog)
        acceptor = Acceptor(self._sock, self._ssl_context, server.open, server)
        self._server = cast("asyncio.AbstractServer", acceptor)  # which a site does nothing with but close it

    async def stop(self) -> None:
        """Let in whoever the kernel has queued, who would be reset, and listen no more."""
        for _ in range(self._backlog):
            if not _someone_waits(self._sock):
                break
            await asyncio.sleep(0)  # each round of uvloop accepts one
        await super().stop()


async def start(
    server: Server, sockets: list[socket.socket], finish_s: float, tls: ssl.SSLContext | None = None
) -> web.ServerRunner:
    """Serve on these sockets; the runner's `cleanup` closes them and gives requests `finish_s` to finish."""
    runner = web.ServerRunner(server, shutdown_timeout=finish_s)
    await runner.setup()
    for listening in sockets:
        await Site(runner, listening, ssl_context=tls, backlog=ACCEPT_QUEUE).start()
    return runner


def _someone_waits(listening: socket.socket) -> bool:
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    return bool(poll.poll(0))
