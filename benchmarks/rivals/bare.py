"""The floor: aiohttp reads the body and answers 202; nothing is published, so nothing is safe."""

import os

import uvloop
from aiohttp import web


async def take(request: web.Request) -> web.Response:
    """Answer one webhook."""
    await request.read()
    return web.Response(status=202)


def build() -> web.Application:
    """Return the application."""
    app = web.Application()
    app.router.add_post("/webhooks/contoso/class-changed", take)
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(build(), host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)
