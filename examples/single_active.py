"""Keeps order: of all processes that run this only one is given events, and it does one after the other."""

import asyncio
import os
import sqlite3

import aio_pika

import tms_events
from inbox import Inbox

QUEUE = "crm"
ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": f"{QUEUE}.dead",
}


async def main() -> None:
    """Bind a queue of our own; the broker chooses who reads it, and chooses anew when that process ends."""
    inbox = Inbox()
    async with await aio_pika.connect_robust(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        await channel.declare_queue(f"{QUEUE}.dead", durable=True, arguments={"x-queue-type": "quorum"})
        queue = await channel.declare_queue(QUEUE, durable=True, arguments=ARGUMENTS)
        await queue.bind(tms_events.EXCHANGE, tms_events.CLASSES)
        async with queue.iterator() as messages:
            async for message in messages:
                try:
                    await apply(inbox, tms_events.decode(message.body))
                except tms_events.MessageError:
                    await message.reject()
                else:
                    await message.ack()


async def apply(inbox: Inbox, event: tms_events.Event) -> None:
    """Apply an event, and try until it works: a message that is put back may be overtaken."""
    while True:
        try:
            inbox.apply(event)
        except sqlite3.Error:
            await asyncio.sleep(1)
        else:
            return


asyncio.run(main())
