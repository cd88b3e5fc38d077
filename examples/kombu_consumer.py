"""The consumer on kombu, the client under Celery; connects again by itself."""

import os
import sqlite3
import time

from kombu import Connection, Consumer, Exchange, Queue
from kombu.message import Message
from kombu.mixins import ConsumerMixin
from kombu.transport.base import StdChannel

import tms_events
from inbox import Inbox

DEAD = Queue("crm.dead", queue_arguments={"x-queue-type": "quorum"})
EXCHANGE = Exchange(tms_events.EXCHANGE, "topic", no_declare=True)  # the bridge's: binding it needs no rights
QUEUE = Queue(
    "crm",
    EXCHANGE,
    routing_key=tms_events.CLASSES,
    queue_arguments={
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "crm.dead",
        "x-delivery-limit": 20,
    },
)


class Crm(ConsumerMixin):  # type: ignore[misc]  # kombu ships no types
    """Handles what comes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.inbox = Inbox()

    def get_consumers(self, consumer: type[Consumer], channel: StdChannel) -> list[Consumer]:
        """Bind a queue of our own."""
        DEAD.bind(channel).declare()
        return [consumer([QUEUE], on_message=self.handle, prefetch_count=32)]

    def handle(self, message: Message) -> None:
        """Apply an event, or say what is to become of its message."""
        try:
            # An empty body is a text to kombu, and every other one is bytes.
            self.inbox.apply(tms_events.decode(bytes(message.body or b"")))
        except tms_events.MessageError:
            message.reject()  # to the dead letters at once: no retry makes it an event
        except sqlite3.Error:
            time.sleep(1)
            message.requeue()
        else:
            message.ack()


with Connection(os.environ["AMQP_URL"], heartbeat=30) as connection:
    Crm(connection).run()
