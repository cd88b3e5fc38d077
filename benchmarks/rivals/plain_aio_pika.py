"""aiohttp and aio-pika as their documentation shows them: one channel, confirms on, persistent messages."""

import os
from collections.abc import AsyncIterator

import aio_pika
import uvloop
from aiohttp import web

EXCHANGE: web.AppKey[aio_pika.abc.AbstractExchange] = web.AppKey("exchange")


async def take(request: web.Request) -> web.Response:
    """Publish one webhook's body as it is; answer when the broker has confirmed it."""
    message = aio_pika.Message(
        await request.read(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await request.app[EXCHANGE].publish(message, "tms.class.scheduled")
    return web.Response(status=202)


async def connected(app: web.Application) -> AsyncIterator[None]:
    """Hold the connection for as long as the application runs."""
    async with await aio_pika.connect_robust(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel(publisher_confirms=True)
        app[EXCHANGE] = await channel.get_exchange("tms.events")
        yield


def build() -> web.Application:
    """Return the application."""
    app = web.Application()
    app.cleanup_ctx.append(connected)
    app.router.add_post("/webhooks/contoso/class-changed", take)
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(build(), host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)
