import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aio_pika
import pytest

from rabbitmq import Node

EXCHANGE = "tms.events"


@pytest.fixture
async def exchange(vhost: str) -> AsyncIterator[aio_pika.abc.AbstractExchange]:
    async with await aio_pika.connect(vhost) as connection:
        channel = await connection.channel(publisher_confirms=True)
        yield await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)


async def listening(config: Path, *args: str) -> asyncio.subprocess.Process:
    """Start `tail` and return once it listens."""
    command = (sys.executable, "-m", "tms_bridge", "tail", "--config", str(config), *args)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert b"listening" in await process.stderr.readline()
    return process


async def publish(
    exchange: aio_pika.abc.AbstractExchange, keys: Sequence[str], body: bytes = b'{"a":\n 1.50}'
) -> None:
    for key in keys:
        headers: dict[str, aio_pika.abc.FieldValue] = {"cloudEvents_subject": "class/7", "tms-replayed": True}
        message = aio_pika.Message(body, headers=headers, message_id="id-1", content_type="application/json")
        await exchange.publish(message, key)


async def test_each_event_is_a_line_of_json_with_all_that_it_carries(
    with_broker: Path, exchange: aio_pika.abc.AbstractExchange
) -> None:
    process = await listening(with_broker, "--count", "1", "--json")
    await publish(exchange, ["tms.class.scheduled"])
    stdout, _ = await process.communicate()
    assert 0 == process.returncode
    shown = json.loads(stdout)
    assert ("tms.class.scheduled", EXCHANGE, False) == (
        shown["routing_key"],
        shown["exchange"],
        shown["redelivered"],
    )
    assert {"message_id": "id-1", "content_type": "application/json"}.items() <= shown["properties"].items()
    assert {"cloudEvents_subject": "class/7", "tms-replayed": True} == shown["headers"]
    assert b'"body":{"a":1.50}' in stdout


async def test_only_what_the_bindings_match_is_shown(
    with_broker: Path, exchange: aio_pika.abc.AbstractExchange
) -> None:
    process = await listening(
        with_broker, "--count", "2", "--binding", "tms.class.*", "--binding", "*.*.completed"
    )
    keys = ["tms.course_assignment.started", "tms.class.denied", "tms.course_assignment.completed"]
    await publish(exchange, keys)
    stdout, _ = await process.communicate()
    lines = stdout.decode().splitlines()
    assert [keys[1], keys[2]] == [line.split("  ")[0] for line in lines]
    assert ["class/7  id-1  replayed"] * 2 == [line.partition("  ")[2] for line in lines]


@pytest.mark.parametrize("body", [b"\xff\x00", b"{", b""])
async def test_a_body_that_is_no_json_is_base64(
    with_broker: Path, exchange: aio_pika.abc.AbstractExchange, body: bytes
) -> None:
    process = await listening(with_broker, "--count", "1", "--json")
    await publish(exchange, ["tms.class.denied"], body)
    stdout, _ = await process.communicate()
    assert isinstance(json.loads(stdout)["body"], str)


async def test_ctrl_c_ends_it_without_a_traceback(
    with_broker: Path, exchange: aio_pika.abc.AbstractExchange
) -> None:
    assert EXCHANGE == exchange.name
    process = await listening(with_broker)
    process.send_signal(2)
    stdout, stderr = await process.communicate()
    assert (130, b"") == (process.returncode, stdout)
    assert b"Traceback" not in stderr


async def test_an_exchange_that_is_missing_is_exit_code_1(with_broker: Path, vhost: str) -> None:
    assert vhost
    command = (
        sys.executable,
        "-m",
        "tms_bridge",
        "tail",
        "--config",
        str(with_broker),
        "--exchange",
        "not-there",
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stdout, stderr = await process.communicate()
    assert (1, b"") == (process.returncode, stdout)
    assert b"not-there" in stderr
    assert b"Traceback" not in stderr


async def test_a_connection_that_is_lost_is_exit_code_1(
    with_broker: Path, vhost: str, rabbitmq: Node
) -> None:
    process = await listening(with_broker, "--exchange", "amq.topic")
    name = vhost.rpartition("/")[2]
    await asyncio.to_thread(rabbitmq.ctl, "close_all_connections", "--vhost", name, "for a test")
    stdout, stderr = await process.communicate()
    assert (1, b"") == (process.returncode, stdout)
    assert b"the broker closed it: 320" in stderr
    assert b"Traceback" not in stderr
