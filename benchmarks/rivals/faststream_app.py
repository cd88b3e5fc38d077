"""FastAPI and FastStream on uvicorn, as FastStream's FastAPI plugin documents it; confirms on, persistent."""

import os

import uvicorn
from fastapi import FastAPI, Request, Response
from faststream.rabbit import ExchangeType, RabbitExchange
from faststream.rabbit.fastapi import RabbitRouter

EVENTS = RabbitExchange("tms.events", type=ExchangeType.TOPIC, durable=True)

router = RabbitRouter(os.environ["AMQP_URL"], include_in_schema=False)


@router.post("/webhooks/contoso/class-changed")
async def take(request: Request) -> Response:
    """Publish one webhook's body as it is; answer when the broker has confirmed it."""
    await router.broker.publish(
        await request.body(),
        exchange=EVENTS,
        routing_key="tms.class.scheduled",
        persist=True,
        content_type="application/json",
    )
    return Response(status_code=202)


app = FastAPI()
app.include_router(router)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning")
