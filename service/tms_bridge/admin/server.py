"""Runs the admin application on sockets that are bound already."""

import socket

from aiohttp import web


async def start(app: web.Application, sockets: list[socket.socket], finish_s: float) -> web.AppRunner:
    """Serve on these sockets; the runner's `cleanup` closes them and gives requests `finish_s` to finish."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=finish_s)
    await runner.setup()
    for listening in sockets:
        await web.SockSite(runner, listening).start()
    return runner
