import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aio_pika
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer
from tests.administering import close_connections

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
    await asyncio.to_thread(close_connections, rabbitmq, vhost, "for a test")
    stdout, stderr = await process.communicate()
    assert (1, b"") == (process.returncode, stdout)
    assert b"the broker closed it: 320" in stderr
    assert b"Traceback" not in stderr


class Handler:
    """A developer's handler, which answers what it is told."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.requests: list[tuple[str, bytes]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.headers.get("ce-subject", request.content_type), await request.read()))
        return web.Response(status=self._statuses.pop(0))


@pytest.fixture
async def served(aiohttp_server: AiohttpServer) -> tuple[Handler, str]:
    handler = Handler(204, 500)
    app = web.Application()
    app.router.add_post("/events", handler.handle)
    server = await aiohttp_server(app)
    return handler, str(server.make_url("/events"))


async def test_events_are_handed_to_a_handler_with_its_answers_told(
    with_broker: Path, exchange: aio_pika.abc.AbstractExchange, served: tuple[Handler, str]
) -> None:
    handler, url = served
    process = await listening(with_broker, "--count", "2", "--forward", url, "--mode", "binary")
    await publish(exchange, ["tms.class.scheduled", "tms.class.denied"])
    stdout, _ = await process.communicate()
    assert (1, ["204", "500"]) == (
        process.returncode, [line.split("  ")[-1].split()[0] for line in stdout.decode().splitlines()]
    )  # fmt: skip
    assert [("class/7", b'{"a":1.50}')] * 2 == handler.requests


async def test_a_handler_that_is_not_there_is_told_and_the_next_event_comes(
    with_broker: Path, exchange: aio_pika.abc.AbstractExchange, unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/"
    process = await listening(with_broker, "--count", "2", "--forward", url, "--json")
    await publish(exchange, ["tms.class.scheduled", "tms.class.denied"])
    stdout, _ = await process.communicate()
    answers = [json.loads(line)["handler"] for line in stdout.splitlines()]
    assert (1, [None, None]) == (process.returncode, [answer["http_status"] for answer in answers])
    assert "Cannot connect" in answers[0]["error"]


async def test_saved_events_are_files_of_their_own(
    with_broker: Path, exchange: aio_pika.abc.AbstractExchange, tmp_path: Path
) -> None:
    process = await listening(
        with_broker, "--count", "1", "--save", str(tmp_path / "kept"), "--omit", "payload"
    )
    await publish(exchange, ["tms.class.scheduled"], b'{"trigger":"class","payload":{"Id":7}}')
    await process.communicate()
    saved = json.loads((tmp_path / "kept" / "id-1.json").read_text())
    assert ("tms.class.scheduled", {"trigger": "class"}, True) == (
        saved["routing_key"], saved["body"], saved["headers"]["tms-replayed"]
    )  # fmt: skip
