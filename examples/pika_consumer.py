"""The consumer on pika, which blocks; acknowledges from the thread that reads."""

import os
import sqlite3

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties

import tms_events
from inbox import Inbox

QUEUE = "crm"
DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{QUEUE}.dead", "x-delivery-limit": 20}


def main() -> None:
    """Bind a queue of our own and handle what comes."""
    inbox = Inbox()
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=32)
    channel.queue_declare(f"{QUEUE}.dead", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum", **DEAD})
    channel.queue_bind(QUEUE, tms_events.EXCHANGE, tms_events.CLASSES)

    def handle(channel: BlockingChannel, method: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
        try:
            inbox.apply(tms_events.decode(body))
        except tms_events.MessageError:
            channel.basic_reject(method.delivery_tag, requeue=False)  # to the dead letters at once
        except sqlite3.Error:
            connection.sleep(1)  # and answer heartbeats meanwhile
            channel.basic_nack(method.delivery_tag, requeue=True)
        else:
            channel.basic_ack(method.delivery_tag)

    channel.basic_consume(QUEUE, handle)
    channel.start_consuming()


main()
