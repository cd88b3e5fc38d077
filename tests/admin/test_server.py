"""What reaches the listener before any route does."""

import asyncio
import json

import pytest
from tests.admin.running import Client, Serve
from tests.waiting import patience

from tms_bridge.settings.model import Admin


async def say(client: Client, raw: bytes) -> tuple[int, str]:
    """Send bytes on a connection of their own; return the status and body of what comes until it closes."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        async with patience():
            writer.write(raw)
            answer = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def ask(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost x\r\n\r\n",
    ],
    ids=["tls", "proxy protocol", "no header"],
)
async def test_bytes_that_are_no_request_get_a_problem(client: Client, raw: bytes) -> None:
    status, body = await say(client, raw)
    problem = json.loads(body)
    assert (status, problem["type"]) == (400, "urn:tms-bridge:problem:malformed-request")


@pytest.mark.parametrize("host", ["bridge", "xn--", "%ff", "[::1]"])
async def test_an_absolute_target_is_answered_whatever_its_host_is(client: Client, host: str) -> None:
    assert (200, '{"status":"live"}') == await say(client, ask(f"http://{host}/livez"))


async def test_an_absolute_target_does_not_get_past_the_guard(serve: Serve) -> None:
    client = await serve(Admin(token="t" * 32))
    status, _ = await say(client, ask("http://localhost/api/v1/status"))
    assert 401 == status


@pytest.mark.parametrize(("target", "method"), [("*", "OPTIONS"), ("xn--:443", "CONNECT"), ("//xn--", "GET")])
async def test_a_target_that_is_no_path_is_not_found(client: Client, target: str, method: str) -> None:
    status, body = await say(client, ask(target, method))
    assert (status, json.loads(body)["type"]) == (404, "urn:tms-bridge:problem:unknown-path")


async def test_a_refused_import_is_read_to_its_end_so_that_its_sender_reads_why(serve: Serve) -> None:
    size = 20_000_000
    head = f"POST /api/v1/outbox HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode()
    client = await serve(Admin(token="t" * 32))
    status, rest = await say(client, head + b"\n" * size + ask("/livez"))
    assert (401, '{"status":"live"}') == (status, rest.splitlines()[-1])
