"""Prints every change of a class; AMQP_URL says where RabbitMQ is."""

import asyncio
import os

import aio_pika

import tms_events


async def main() -> None:
    """Bind a queue of our own to the classes' topics, and acknowledge each event once it is dealt with."""
    async with await aio_pika.connect_robust(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=32)
        exchange = await channel.declare_exchange(tms_events.EXCHANGE, "topic", durable=True)
        queue = await channel.declare_queue("class-news", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(exchange, tms_events.CLASSES)
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process(requeue=True):
                    event = tms_events.decode(message.body)
                    print(event.status, tms_events.entity_id(event), event.id, flush=True)


asyncio.run(main())
