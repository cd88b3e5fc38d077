"""The consumer with its inbox in PostgreSQL: DATABASE is its URL."""

import asyncio
import os

import aio_pika
import psycopg
from aio_pika.abc import AbstractIncomingMessage

import tms_events
from inbox import APPLY, ONCE, TABLES, tell

QUEUE = "crm"
DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{QUEUE}.dead", "x-delivery-limit": 20}
DATABASE = os.environ["DATABASE"]


async def main() -> None:
    """Bind a queue of our own, and acknowledge each event once what it changes is committed."""
    async with await psycopg.AsyncConnection.connect(DATABASE) as transaction:
        for table in TABLES:
            await transaction.execute(table)
    async with await aio_pika.connect_robust(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=32)
        await channel.declare_queue(f"{QUEUE}.dead", durable=True, arguments={"x-queue-type": "quorum"})
        queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum", **DEAD})
        await queue.bind(tms_events.EXCHANGE, tms_events.CLASSES)
        async with queue.iterator() as messages:
            async for message in messages:
                await handle(message)


async def handle(message: AbstractIncomingMessage) -> None:
    """Apply an event, or say what is to become of its message."""
    try:
        await apply(tms_events.decode(message.body))
    except tms_events.MessageError:
        await message.reject()  # to the dead letters at once: no retry makes it an event
    except psycopg.Error:
        await asyncio.sleep(1)  # what failed now may work later; 20 times, then to the dead letters
        await message.nack()
    else:
        await message.ack()


async def apply(event: tms_events.Event) -> None:
    """Apply an event once, however often it comes: its id and its effect are one transaction.

    A pool (psycopg_pool) would keep connections; a new one for each event cannot be a broken one.
    """
    async with await psycopg.AsyncConnection.connect(DATABASE) as transaction:
        once = await transaction.execute(ONCE.replace("?", "%s"), [event.id])
        if not once.rowcount:
            return
        members = [tms_events.entity_key(event), event.status, event.id]
        applied = await transaction.execute(APPLY.replace("?", "%s"), members)
        [(state,)] = await applied.fetchall()
    tell(event, state)


asyncio.run(main())
