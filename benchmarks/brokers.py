"""The brokers of a run: one that everybody publishes to, and one with RabbitMQ's own HTTP API."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aio_pika

from installation import Installation, provide_installation
from packages import NotInstalledError
from ports import free_port
from rabbitmq import Node
from rabbitmq4 import provide_rabbitmq4
from receivers import Receiver, basic
from wrk import Target

if TYPE_CHECKING:
    from aiormq.abc import FieldValue

EXCHANGE = "tms.events"
QUEUE_LENGTH = 1000


def best_installation() -> Installation:
    """Return RabbitMQ 4 where it can be had, else what there is."""
    try:
        return provide_rabbitmq4()
    except NotInstalledError as error:
        print(f"bench: measuring with the system's RabbitMQ: {error}", file=sys.stderr)
        return provide_installation()


@contextmanager
def broker(installation: Installation) -> Iterator[Node]:
    """Run a node that has no plugins."""
    with Node(installation) as node:
        yield node


def place(node: Node, name: str) -> str:
    """Make a virtual host in which every event goes to one short queue; return its URL.

    The queue is classic and drops its head, so that the receivers are measured, and not what waits there.
    """
    url = node.add_vhost(name)
    asyncio.run(_declare(url))
    return url


async def _declare(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        short: dict[str, FieldValue] = {"x-max-length": QUEUE_LENGTH, "x-overflow": "drop-head"}
        queue = await channel.declare_queue("everything", durable=True, arguments=short)
        await queue.bind(exchange, "#")


@contextmanager
def http_api(installation: Installation) -> Iterator[Receiver]:
    """Run a second node with the management plugin, whose statistics would slow the first one down."""
    port = free_port()
    conf = {"management.tcp.ip": "127.0.0.1", "management.tcp.port": str(port)}
    with Node(installation, plugins=["rabbitmq_management"], conf=conf) as node:
        place(node, "bench")
        target = Target(
            port, f"/api/exchanges/bench/{EXCHANGE}/publish", basic(node.user, node.password), envelope=True
        )
        receiver = Receiver("http_api", "RabbitMQ's HTTP API", (), target, foreign_pid=node.pid)
        try:
            yield receiver
        finally:
            receiver.close()
