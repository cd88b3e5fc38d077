"""Connections that a trusted proxy opens with a PROXY protocol header."""

import asyncio

from tms_bridge.auth.allowlist import Networks, parse_peer
from tms_bridge.auth.client import Unreadable
from tms_bridge.auth.proxy_protocol import parse_announcement
from tms_bridge.http.connections import Connections, limits_of
from tms_bridge.http.server import Connection, Handler, NoteRefused, Server, Take
from tms_bridge.log import Logger
from tms_bridge.metrics import ConnectionMetrics
from tms_bridge.settings.model import Http


def build_server(  # noqa: PLR0913 - what it serves, and whom it tells
    handler: Handler,
    http: Http,
    note_refused: NoteRefused = lambda *_: None,
    take: Take | None = None,
    *,
    metrics: ConnectionMetrics | None = None,
    logger: Logger | None = None,
) -> Server:
    """Return the server that reads the client address as it is declared."""
    trusted = Networks(http.trusted_proxies)
    connections = Connections(limits_of(http, trusted), "http", metrics, logger)
    if http.client_address == "proxy-protocol":
        return ProxiedServer(handler, trusted, note_refused, take, connections)
    return Server(handler, note_refused, take, connections=connections)


class ProxiedConnection(Connection):
    """A connection whose `origin` is what the proxy announced, once it has.

    Where a trusted proxy begins with anything else, the bytes are taken as HTTP from nobody: the request is
    judged as one whose client address is unreadable, so it is answered and logged like any other refusal.
    """

    __slots__ = ("_start",)

    _start: bytes | None
    """What came so far of the header; None when there is none to wait for."""

    @property
    def head_began(self) -> float | None:
        """When the head began; the PROXY header is due as soon as the connection is there."""
        return super().head_began if self._start is None else self._made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the header, from a trusted proxy."""
        self._start = None
        super().connection_made(transport)
        if isinstance(self._server, ProxiedServer) and self._server.trusts(self._peer):
            self._start = b""

    def data_received(self, data: bytes) -> None:
        """Cut the header off before anything is taken as HTTP."""
        if self._start is None:
            super().data_received(data)
            return
        self._start += data
        try:
            announcement = parse_announcement(self._start)
        except Unreadable as error:
            self._go_on(self._peer, f"{self._peer}: {error}", self._start)
            return
        if announcement is not None:
            client = self._peer if announcement.client is None else str(announcement.client)
            self._go_on(client, client, self._start[announcement.length :])

    def _go_on(self, remote: str, origin: str, rest: bytes) -> None:
        self._connections.leave(self)
        self.remote, self.origin = remote, origin
        self._start = None
        if not self._connections.enter(self):  # counts for the client from now on
            self.cut_off()
            return
        if rest:
            super().data_received(rest)


class ProxiedServer(Server):
    """Makes such connections."""

    connection = ProxiedConnection

    def __init__(
        self,
        handler: Handler,
        trusted: Networks,
        note_refused: NoteRefused = lambda *_: None,
        take: Take | None = None,
        connections: Connections | None = None,
    ) -> None:
        super().__init__(handler, note_refused, take, connections=connections)
        self._trusted = trusted

    def trusts(self, peer: str) -> bool:
        """Return whether connections from this address begin with a PROXY protocol header."""
        address = parse_peer(peer)
        return address is not None and address in self._trusted
