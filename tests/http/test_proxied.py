import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tms_bridge.http.proxied import build_server
from tms_bridge.http.sockets import start
from tms_bridge.settings.model import Basic, Credential, Http, Source
from tms_bridge.web.sources import Door

GET = b"GET / HTTP/1.1\r\nHost: bridge\r\n\r\n"
CLIENT = "203.0.113.7"
VERSION_1 = f"PROXY TCP4 {CLIENT} 127.0.0.1 51234 443\r\n".encode()
VERSION_2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
    + socket.inet_aton(CLIENT)
    + socket.inet_aton("127.0.0.1")
    + struct.pack(">HH", 51234, 443)
)
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@asynccontextmanager
async def serve(http: Http) -> AsyncIterator[Connect]:
    """Serve what an address check makes of each request, and of the peer that aiohttp tells."""
    credential = Credential(name="2026", basic=Basic(username="tms", password="secret"))
    door = Door(http, "contoso", Source(allow_from=(CLIENT,), credentials=(credential,)))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        caller = door.judge(request.remote or "", request.headers)
        verdict = "unlisted" if caller.client else "unreadable"
        found = f"{verdict if caller.unlisted else 'allowed'} {caller.client or caller.unlisted}"
        return web.Response(text=found)

    listening = socket.create_server(("127.0.0.1", 0))
    runner = await start(build_server(handle, http), [listening], 1)
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writers.append(writer)
        return reader, writer

    try:
        yield connect
    finally:
        for writer in writers:
            writer.close()
        await runner.cleanup()


async def read_text(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return (await reader.readexactly(length)).decode()


BEHIND_PROXY = Http(client_address="proxy-protocol", trusted_proxies=("127.0.0.0/8",))
UNREADABLE = (
    "unreadable the connection gives no IP address but '127.0.0.1: it does not begin with a PROXY protocol "
    "header; make the proxy send one'"
)


@pytest.mark.parametrize(
    ("start_of_connection", "expected"),
    [
        pytest.param(VERSION_1, f"allowed {CLIENT}", id="version 1"),
        pytest.param(VERSION_2, f"allowed {CLIENT}", id="version 2"),
        pytest.param(LOCAL, "unlisted 127.0.0.1", id="the proxy itself"),
        pytest.param(b"", UNREADABLE, id="no header"),
    ],
)
async def test_a_trusted_proxy_announces_the_client(start_of_connection: bytes, expected: str) -> None:
    async with serve(BEHIND_PROXY) as connect:
        reader, writer = await connect()
        for _ in range(2):
            writer.write(start_of_connection + GET)
            start_of_connection = b""
            assert await read_text(reader) == expected


@pytest.mark.parametrize("header", [VERSION_1, VERSION_2])
async def test_a_header_may_arrive_in_pieces(header: bytes) -> None:
    async with serve(BEHIND_PROXY) as connect:
        reader, writer = await connect()
        for at in range(0, len(header), 7):
            writer.write(header[at : at + 7])
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(GET)
        assert await read_text(reader) == f"allowed {CLIENT}"


async def test_each_connection_has_its_own_client() -> None:
    other = VERSION_1.replace(b"113.7 ", b"113.8 ")
    async with serve(BEHIND_PROXY) as connect:
        answers = []
        for header in (VERSION_1, other, VERSION_1):
            reader, writer = await connect()
            writer.write(header + GET)
            answers.append(await read_text(reader))
    assert answers == [f"allowed {CLIENT}", "unlisted 203.0.113.8", f"allowed {CLIENT}"]


@pytest.mark.parametrize(
    "http",
    [
        pytest.param(Http(client_address="proxy-protocol"), id="not a trusted proxy"),
        pytest.param(
            Http(client_address="peer", trusted_proxies=("127.0.0.0/8",)), id="another way declared"
        ),
    ],
)
async def test_a_header_from_anyone_else_is_not_believed(http: Http) -> None:
    async with serve(http) as connect:
        reader, writer = await connect()
        writer.write(VERSION_1 + GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        reader, writer = await connect()
        writer.write(GET)
        assert await read_text(reader) == "unlisted 127.0.0.1"


async def test_a_proxy_that_goes_away_before_its_header_is_complete_is_forgotten() -> None:
    async with serve(BEHIND_PROXY) as connect:
        reader, writer = await connect()
        writer.write(VERSION_1[:20])
        writer.write_eof()
        writer.close()
        await writer.wait_closed()
        reader, writer = await connect()
        writer.write(VERSION_1 + GET)
        assert await read_text(reader) == f"allowed {CLIENT}"
