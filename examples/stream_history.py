"""Builds its state from history: a stream keeps what was read, so a new table begins at the first event."""

import asyncio
import os
import sqlite3

import aio_pika

import tms_events
from inbox import Inbox

STREAM = "crm.history"
ARGUMENTS = {"x-queue-type": "stream", "x-max-age": "30D", "x-max-length-bytes": 1_000_000_000}


async def main() -> None:
    """Bind a stream of our own and read it from its beginning; the inbox knows what was applied already."""
    inbox = Inbox()
    async with await aio_pika.connect_robust(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)  # a stream is not read without
        stream = await channel.declare_queue(STREAM, durable=True, arguments=ARGUMENTS)
        await stream.bind(tms_events.EXCHANGE, tms_events.CLASSES)
        async with stream.iterator(arguments={"x-stream-offset": "first"}) as messages:
            async for message in messages:
                await apply(inbox, message.body)
                await message.ack()  # asks for more; it removes nothing


async def apply(inbox: Inbox, body: bytes) -> None:
    """Apply an event, and try until it works; a stream has no dead letters, so what is no event is shown."""
    try:
        event = tms_events.decode(body)
    except tms_events.MessageError as error:
        print(f"no event: {error}", flush=True)
        return
    while True:
        try:
            inbox.apply(event)
        except sqlite3.Error:
            await asyncio.sleep(1)
        else:
            return


asyncio.run(main())
