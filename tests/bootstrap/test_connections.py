"""What anybody can do to the bridge by connecting to it, with no credentials."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.bootstrap.running import Process, bridge, configure
from tests.waiting import patience, until

ENDLESS = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 8000) for n in range(120))


@asynccontextmanager
async def connected(
    address: str, count: int
) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """Hold open connections."""
    host, port = address.rsplit(":", 1)
    callers = [await asyncio.open_connection(host, int(port)) for _ in range(count)]
    try:
        yield callers
    finally:
        for _, writer in callers:
            writer.close()


def resident_bytes(running: Process) -> int:
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def ended(reader: asyncio.StreamReader) -> bool:
    return reader.at_eof() or reader.exception() is not None


async def sample(running: Process, name: str, **labels: str) -> float:
    _, page = await running.get("/metrics")
    series = name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"
    return next(float(line.split()[-1]) for line in page.splitlines() if line.startswith(series))


async def answer_to_endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    try:
        writer.write(ENDLESS)
        async with patience():
            return await reader.read()
    except ConnectionError:
        return b""


async def test_heads_without_an_end_cost_no_memory_and_leave_none_behind(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as running:
        before, answers = resident_bytes(running), []
        for _ in range(4):
            async with connected(running.http, 150) as callers:
                answers += await asyncio.gather(*(answer_to_endless_head(*caller) for caller in callers))
        grown = resident_bytes(running) - before
        status, _ = await running.post(1)
        refused = await sample(
            running, "tms_bridge_connections_refused_total", listener="http", reason="max_head_bytes"
        )

    assert {b"HTTP/1.1 431 Request Header Fields Too Large"} == {a.partition(b"\r\n")[0] for a in answers}
    assert all(
        "http.max_head_bytes" in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] for answer in answers
    )
    assert grown < 25_000_000
    assert (202, 600) == (status, refused)


async def test_a_refused_caller_who_gives_way_while_it_reads_is_no_defect(tmp_path: Path) -> None:
    config = configure(tmp_path)
    config.write_text(config.read_text().replace("[http]", "[http]\nmax_connections = 1"))
    async with bridge(config) as running:
        async with connected(running.http, 1) as ((reader, writer),):
            writer.write(ENDLESS)
            async with patience():
                await reader.readuntil(b"\r\n\r\n")
            status, _ = await running.post(1)
        running.send(signal.SIGTERM)
        await running.end()

    assert (202, []) == (status, [line for line in running.lines if line["level"] == "error"])


@pytest.mark.parametrize("listener", ["http", "admin"])
async def test_silent_callers_never_use_up_the_descriptors(tmp_path: Path, listener: str) -> None:
    async with bridge(configure(tmp_path), descriptors=256) as running:
        address = running.http if listener == "http" else running.admin
        async with connected(address, 400) as silent:
            statuses = [(await running.post(entity))[0] for entity in range(20)]
            live, _ = await running.get("/livez")
            alive, _ = await running.get("/livez", admin=False)
            still_open = await sample(running, "tms_bridge_connections", listener=listener)
            turned_away = await sample(
                running, "tms_bridge_connections_refused_total", listener=listener, reason="max_connections"
            )
            said = await running.until("connections refused")
            await until(
                lambda: sum(reader.at_eof() or bool(reader.exception()) for reader, _ in silent) >= 200
            )

    assert [202] * 20 == statuses
    assert (200, 200) == (live, alive)
    assert still_open < 128
    assert turned_away >= 200
    assert (listener, "warning") == (said["listener"], said["level"])
