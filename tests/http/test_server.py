import asyncio
import contextlib
import gc
import socket

import pytest
import uvloop
from aiohttp import web
from tests.waiting import patience

from tms_bridge.http.server import Server
from tms_bridge.http.sockets import start


@pytest.mark.parametrize("host", ["bridge", "xn--", "%ff", "[::1]"])
async def test_an_absolute_target_is_answered_whatever_its_host_is(host: str) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=request.rel_url.raw_path)

    listening = socket.create_server(("127.0.0.1", 0))
    runner = await start(Server(handle), [listening], 1)
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        writer.write(f"GET http://{host}/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        async with patience():
            answer = await reader.read()
    finally:
        writer.close()
        await runner.cleanup()

    assert answer.endswith(b"\r\n\r\n/a")


async def _close_with_callers_at_the_door() -> list[bytes]:
    async def handle(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="let in")

    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(handle)
    runner = await start(server, [listening], 1)
    callers = [socket.create_connection(listening.getsockname(), 5) for _ in range(20)]
    for caller in callers[:10]:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    [site] = runner.sites
    await site.stop()
    for caller in callers[10:]:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await server.open.settle()
    await runner.cleanup()

    answers = []
    for caller in callers:
        with caller, contextlib.suppress(ConnectionResetError):
            answers.append(caller.recv(1000)[-6:])
    return answers


def test_whoever_waits_at_the_door_is_answered_before_it_closes() -> None:
    assert [b"let in"] * 20 == uvloop.run(_close_with_callers_at_the_door())


async def test_whoever_hangs_up_right_behind_a_request_leaves_no_defect_in_the_log() -> None:
    async def handle(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    told: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    connection = Server(handle)()
    ours, theirs = socket.socketpair()
    transport, _ = await loop.connect_accepted_socket(lambda: connection, ours)
    await asyncio.sleep(0)  # it waits for a request
    connection.data_received(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.connection_lost(None)
    await asyncio.sleep(0)
    transport.abort()
    theirs.close()
    await asyncio.sleep(0)
    gc.collect()  # which is when asyncio tells of a task that nobody has asked

    assert [] == told
