"""Streams: who shares what is made, and who is let go."""

import asyncio
import socket
import time

import pytest
from pytest_aiohttp import AiohttpClient
from tests.admin.running import Client, Desk, Served, call
from tests.waiting import patience, until

from tms_bridge import admin
from tms_bridge.admin import follow
from tms_bridge.admin.follow import Tick, Ticks
from tms_bridge.settings.model import Admin


def test_what_is_made_in_a_tick_is_made_once(desk: Desk) -> None:
    made: list[str] = []
    tick = Tick(desk.calls, 1)
    for name in ("a", "b", "a"):
        tick.made(name, lambda name=name: made.append(name))  # type: ignore[misc]  # a default is no argument
    assert ["a", "b"] == made


async def test_all_who_wait_for_the_end_of_a_tick_get_the_same_next_one(desk: Desk) -> None:
    ticks = Ticks(desk.calls)
    tick = ticks.current()
    first, second = await asyncio.gather(ticks.after(tick), ticks.after(tick))
    assert first is second
    assert first.number > tick.number


async def test_a_reader_who_takes_nothing_is_let_go_and_is_no_defect(
    desk: Desk, aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_WRITTEN_WITHIN_S", 0.05)
    context = desk.context()
    client: Client = await aiohttp_client(Served(admin.build(context, admin.Guard(Admin()))))
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        reader.connect((client.host, client.port))
        reader.sendall(b"GET /api/v1/calls/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await until(lambda: context.watchers.count == 1)
        async with patience():
            while context.watchers.count:
                for number in range(1000):
                    desk.calls.note(call(time.time(), id=f"e{number}", detail="x" * 3000))
                await asyncio.sleep(0.05)
    assert [] == desk.lines.of("defect")
