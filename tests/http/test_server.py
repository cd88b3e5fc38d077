import asyncio
import socket

import pytest
from aiohttp import web

from tms_bridge.http.server import Server, start


@pytest.mark.parametrize("host", ["bridge", "xn--", "%ff", "[::1]"])
async def test_an_absolute_target_is_answered_whatever_its_host_is(host: str) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=request.rel_url.raw_path)

    listening = socket.create_server(("127.0.0.1", 0))
    runner = await start(Server(handle), [listening], 1)
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        writer.write(f"GET http://{host}/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(5):
            answer = await reader.read()
    finally:
        writer.close()
        await runner.cleanup()

    assert answer.endswith(b"\r\n\r\n/a")
