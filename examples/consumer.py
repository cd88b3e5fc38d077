"""Keeps the last status of each class; survives copies, failures, crashes and bodies that are no event."""

import asyncio
import json
import os
import sqlite3

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

import tms_events

QUEUE = "crm"
DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{QUEUE}.dead", "x-delivery-limit": 20}


async def main() -> None:
    """Bind a queue of our own, and acknowledge each event once what it changes is on disk."""
    inbox = sqlite3.connect(os.environ.get("DATABASE", "crm.db"), timeout=1)
    inbox.execute("CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY)")
    inbox.execute(
        "CREATE TABLE IF NOT EXISTS class (key TEXT PRIMARY KEY, status TEXT, changes INT, last TEXT)"
    )
    async with await aio_pika.connect_robust(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=32)
        await channel.declare_queue(f"{QUEUE}.dead", durable=True, arguments={"x-queue-type": "quorum"})
        queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum", **DEAD})
        await queue.bind(tms_events.EXCHANGE, tms_events.CLASSES)
        async with queue.iterator() as messages:
            async for message in messages:
                await handle(inbox, message)


async def handle(inbox: sqlite3.Connection, message: AbstractIncomingMessage) -> None:
    """Apply an event, or say what is to become of its message."""
    try:
        apply(inbox, tms_events.decode(message.body))
    except tms_events.MessageError:
        await message.reject()  # to the dead letters at once: no retry makes it an event
    except sqlite3.Error:
        await asyncio.sleep(1)  # what failed now may work later; 20 times, then to the dead letters
        await message.nack()
    else:
        await message.ack()


def apply(inbox: sqlite3.Connection, event: tms_events.Event) -> None:
    """Apply an event once, however often it comes: its id and its effect are one transaction."""
    with inbox:
        if not inbox.execute("INSERT OR IGNORE INTO inbox VALUES (?)", [event.id]).rowcount:
            return  # a copy
        [(state,)] = inbox.execute(
            "INSERT INTO class VALUES (?, ?, 1, ?) ON CONFLICT (key) DO UPDATE SET changes = changes + 1,"
            # Ids rise with time: an older event that comes late changes no status.
            " status = iif(excluded.last > last, excluded.status, status),"
            " last = max(excluded.last, last) RETURNING status",
            [tms_events.entity_key(event), event.status, event.id],
        ).fetchall()
    print(json.dumps({"handled": event.id, "state": state}), flush=True)  # `tms-events torture` listens


asyncio.run(main())
