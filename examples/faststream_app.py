"""The consumer on FastStream: the annotation decodes, and what is no event goes to the dead letters."""

import asyncio
import os
import sqlite3

from faststream import FastStream
from faststream.exceptions import NackMessage
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue

import tms_events
from inbox import Inbox

inbox = Inbox()
broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=Channel(prefetch_count=32))
app = FastStream(broker)
exchange = RabbitExchange(tms_events.EXCHANGE, ExchangeType.TOPIC, durable=True, declare=False)
dead = RabbitQueue("crm.dead", QueueType.QUORUM, durable=True)
queue = RabbitQueue(
    "crm",
    QueueType.QUORUM,
    durable=True,
    routing_key=tms_events.CLASSES,
    arguments={
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "crm.dead",
        "x-delivery-limit": 20,
    },
)


@app.on_startup
async def declare_dead_letters() -> None:
    """Make room for dead letters before the first may come."""
    await broker.connect()
    await broker.declare_queue(dead)


@broker.subscriber(queue, exchange)
async def handle(event: tms_events.ClassChanged) -> None:
    """Apply an event; what was raised and is no Nack rejects its message to the dead letters."""
    try:
        inbox.apply(event)
    except sqlite3.Error as error:
        await asyncio.sleep(1)  # what failed now may work later
        raise NackMessage from error


asyncio.run(app.run())
