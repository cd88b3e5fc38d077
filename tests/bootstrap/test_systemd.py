import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.bootstrap.running import bridge, configure
from tests.waiting import patience, until

from tms_bridge.bootstrap.systemd import ServiceManager


@asynccontextmanager
async def listening(address: str) -> AsyncIterator[list[str]]:
    """Hear what is said on this socket, as systemd would."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(address)
        bound.setblocking(False)  # noqa: FBT003 - positional by the socket's own signature
        hearing = asyncio.create_task(_hear(bound, heard))
        try:
            yield heard
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])


async def _hear(bound: socket.socket, heard: list[str]) -> None:
    while True:
        heard.append((await asyncio.get_running_loop().sock_recv(bound, 100)).decode())


async def test_a_bridge_says_that_it_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    async with (
        listening(address) as heard,
        bridge(configure(tmp_path), NOTIFY_SOCKET=address, WATCHDOG_USEC="200000") as running,
    ):
        await until(lambda: "READY=1" in heard)
        assert 200 == (await running.get("/readyz"))[0]
        alive = heard.count("WATCHDOG=1")
        await until(lambda: heard.count("WATCHDOG=1") >= alive + 3)
        assert "STOPPING=1" not in heard
        running.process.terminate()
        await until(lambda: "STOPPING=1" in heard)
        assert 0 == await running.end()


async def test_nothing_says_alive_for_a_loop_that_stands_still(tmp_path: Path) -> None:
    async with listening(str(tmp_path / "notify")) as heard:
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"})
        alive = asyncio.create_task(manager.keep_alive())
        await until(lambda: len(heard) > 1)
        before = len(heard)
        time.sleep(0.5)  # noqa: ASYNC251 - the loop shall stand still: fifty times the pause between two words
        await until(lambda: len(heard) > before)
        assert len(heard) < before + 25
        alive.cancel()


async def test_a_name_outside_of_the_file_system_begins_with_an_at_sign() -> None:
    name = f"tms-bridge-test-{os.getpid()}"
    async with listening(f"\0{name}") as heard:
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).tell("READY=1")
        await until(lambda: heard == ["READY=1"])


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"}, {"NOTIFY_SOCKET": "/nowhere/at/all"}],
    ids=["not under systemd", "the watchdog of another process", "nobody listens"],
)
async def test_without_systemd_nothing_is_kept_waiting(environ: dict[str, str]) -> None:
    manager = ServiceManager(environ)
    manager.tell("READY=1")
    async with patience():
        await manager.keep_alive()
