import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
from tests.waiting import PATIENCE_S

import rabbitmq as module
from rabbitmq import BrokerFailedError, Node


async def _publish_and_get(url: str, body: bytes) -> bytes:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("kept", durable=True)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue.name)
        got = await queue.get()
        return got.body


async def test_a_test_gets_a_virtual_host_of_its_own(rabbitmq: Node, vhost: str) -> None:
    assert await _publish_and_get(vhost, b"hello") == b"hello"
    assert urlsplit(vhost).path[1:] in rabbitmq.ctl("list_vhosts").splitlines()


async def test_a_killed_node_comes_back_on_its_port_with_its_data(private_rabbitmq: Node) -> None:
    url = private_rabbitmq.add_vhost("mine")
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True)
    # Mnesia writes definitions out within seconds, not before it answers: only an orderly stop is sure to.
    private_rabbitmq.stop()
    private_rabbitmq.restart()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key="kept")
    private_rabbitmq.kill()
    private_rabbitmq.restart()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        kept = await (await channel.get_queue("kept")).get()
        assert kept.body == b"kept"


def test_an_erlang_error_is_told(rabbitmq: Node) -> None:
    with pytest.raises(BrokerFailedError, match="undef"):
        rabbitmq.evaluate("no_such_module:function().")


def test_a_node_that_cannot_start_shows_its_log() -> None:
    node = Node(conf={"listeners.tcp.local": "127.0.0.1:not-a-port"})
    try:
        with pytest.raises(BrokerFailedError, match=r"listeners\.tcp\.local"):
            node.start()
    finally:
        node.close()


def test_a_killed_starter_leaves_nothing_behind() -> None:
    program = Path(module.__file__)
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        port = urlsplit(starter.stdout.readline()).port
        children = _children(starter.pid)
        starter.send_signal(signal.SIGKILL)
    assert port is not None
    assert len(children) == 3  # the janitor, epmd and the Erlang machine
    for pid in children:
        _wait_gone(pid)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_gone(pid: int) -> None:
    """Wait until a process that is not our child has ended; a zombie that nobody reaps counts as ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], PATIENCE_S)
    finally:
        os.close(descriptor)
    assert ended == [descriptor]
