"""Runs the admin application on sockets that are bound already, behind connections that bear any bytes."""

import socket
import ssl

from aiohttp import web

from tms_bridge.http.connections import ACCEPT_QUEUE, Connections
from tms_bridge.http.server import Server
from tms_bridge.http.sockets import Site


class AdminServer(Server):
    """The webhook listener's server, without its short way."""

    lingering_s = 10.0  # a refused import reads why before the close resets its connection


class Runner(web.AppRunner):
    """Gives the application the webhook listener's connections instead of aiohttp's own."""

    def __init__(self, app: web.Application, connections: Connections, finish_s: float = 1.0) -> None:
        super().__init__(app, shutdown_timeout=finish_s)
        self._connections = connections

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return AdminServer(
            made.request_handler, request_factory=made.request_factory, connections=self._connections
        )


async def start(
    app: web.Application,
    sockets: list[socket.socket],
    finish_s: float,
    connections: Connections,
    tls: ssl.SSLContext | None = None,
) -> web.AppRunner:
    """Serve on these sockets; the runner's `cleanup` closes them and gives requests `finish_s` to finish."""
    runner = Runner(app, connections, finish_s)
    await runner.setup()
    for listening in sockets:
        await Site(runner, listening, ssl_context=tls, backlog=ACCEPT_QUEUE).start()
    return runner
