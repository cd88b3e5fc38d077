"""The raw HTTP surface of a bridge that runs, and an account of what became of every request.

The bridge is a process of its own without a broker, so that all it takes in stays in its outbox. When it has
stopped, its outbox is read as an operator reads it, and each event in it is held against the request with its
number: none told with a 202 is missing, and none is there that was not sent by whom it may be sent.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.requests import FRONTS, MAX_BODY, Kind, Sent, Writer, draw_front, owed, segments
from tests.waiting import until

from tms_bridge import message
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.rows import OUTBOX, QUARANTINE, Row, State
from tms_bridge.settings.model import Outbox

_CALLERS = 24
_PATIENCE_S = 40.0
_SHORT_PATIENCE_S = 0.25
"""How long to wait for an answer that nobody owes: the bytes could be half a request."""

_CONTINUE = 100
MEMORY_KB = 220 * 1024
ROUND = 10_000
"""Requests in the life of one bridge: all that they made waits in its outbox."""

_CONFIG = """
[http]
listen = "127.0.0.1:0"
client_address = "{front}"
trusted_proxies = [{trusted}]
max_body_bytes = {max_body}
shutdown_delay_s = 0
deadline_s = 30
[admin]
listen = "127.0.0.1:0"
[amqp]
urls = ["amqp://guest:guest@127.0.0.1:1/"]
[outbox]
dir = "outbox"
min_free_bytes = 0
[sources.contoso]
allow_from = ["127.1.0.0/16"]
timeout_s = 40
[[sources.contoso.credentials]]
name = "basic"
basic = {{ username = "u", password = "${{PASSWORD:-a-password-of-tests}}" }}
[[sources.contoso.credentials]]
name = "key"
headers = {{ X-Api-Key = "${{KEY:-s3cret-key-of-tests}}" }}
[log]
format = "json"
"""


@dataclass
class Account:
    """What was sent, told and kept.

    Attributes:
        owed: the numbers of events whose connection was sure to last.
        allowed: the numbers that may be in the outbox, once.
        forbidden: what was sent with a number that may not be there.
        told: ids that came with a 202, by number.
        quarantined: ids that came with a 422.
    """

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    owed: set[int] = field(default_factory=set)
    allowed: set[int] = field(default_factory=set)
    forbidden: dict[int, bytes] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)
    kept: int = 0
    seconds: float = 0.0
    memory_kb: int = 0
    findings: list[str] = field(default_factory=list)

    def sent(self, stream: Sequence[Sent]) -> None:
        """Note what may come of a stream."""
        self.requests += len(stream)
        self.owed |= {one.number for one in owed(stream) if one.kind is Kind.EVENT}
        self.allowed |= {one.number for one in stream if one.kind in (Kind.EVENT, Kind.MAYBE)}
        whole = b"".join(one.raw for one in stream)
        self.forbidden |= {
            one.number: whole for one in stream if one.number and one.number not in self.allowed
        }

    def answered(self, answers: bytes, stream: Sequence[Sent]) -> None:
        """Note all that was answered to a stream."""
        for status, body in read_answers(answers):
            self.statuses[status] += 1
            if status == 202:
                self.told.add(json.loads(body)["id"])
            elif status == 422:
                self.quarantined.add(json.loads(body)["quarantine_id"])
            elif status >= 500:
                self.findings.append(f"{status} {body[:300]!r} to {[one.raw[:600] for one in stream]}")

    def settle(self, events: Sequence[Row], bodies: Sequence[Row]) -> None:
        """Compare with what the outbox and the quarantine hold."""
        self.kept = len(events)
        numbers = Counter(int(event.entity) for event in events)
        ids = {event.id for event in events}
        twice = {number for number, times in numbers.items() if times > 1}
        self._find("told with a 202 and not in the outbox", self.told - ids)
        self._find("owed and not in the outbox", self.owed - numbers.keys())
        invented = numbers.keys() - self.allowed
        self._find("in the outbox and sent by nobody who may", invented)
        self.findings += [repr(self.forbidden.get(number)) for number in list(invented)[:3]]
        self._find("in the outbox more than once", twice)
        self._find("told with a 422 and not in quarantine", self.quarantined - {one.id for one in bodies})
        if self.memory_kb > MEMORY_KB:
            self.findings.append(f"the bridge holds {self.memory_kb // 1024} MiB")

    def _find(self, what: str, found: Collection[object]) -> None:
        if found:
            self.findings.append(f"{len(found)} {what}: {sorted(map(str, found))[:5]}")

    def add(self, other: "Account") -> None:
        """Add the account of another round."""
        self.requests += other.requests
        self.statuses += other.statuses
        self.told |= other.told
        self.quarantined |= other.quarantined
        self.kept += other.kept
        self.seconds += other.seconds
        self.memory_kb = max(self.memory_kb, other.memory_kb)
        self.findings += other.findings

    def __str__(self) -> str:
        statuses = ", ".join(f"{count:,} x {status}" for status, count in sorted(self.statuses.items()))
        rate = self.requests / max(self.seconds, 1)
        return (
            f"http: {self.requests:,} requests in {self.seconds:,.0f} s ({rate:,.0f}/s): "
            f"{statuses}; told of {len(self.told):,} events, {self.kept:,} in the outbox; bridge at most "
            f"{self.memory_kb // 1024} MiB; {len(self.findings)} findings"
        )


def read_answers(answers: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield status and body of each whole answer."""
    at = 0
    while (end := answers.find(b"\r\n\r\n", at)) >= 0:
        lines = answers[at:end].split(b"\r\n")
        status = int(lines[0].split()[1])
        length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
        at = end + 4 + length
        if status != _CONTINUE and at <= len(answers):
            yield status, answers[end + 4 : at]


class Caller:
    """Sends streams, one connection each."""

    def __init__(self, port: int, account: Account, front: str, random: Random) -> None:
        self._port = port
        self._account = account
        self._front = front
        self._random = random

    async def send(self) -> None:
        """Send one stream, and note what came of it."""
        front = draw_front(self._front, self._random)
        stream = Writer(front, self._random).stream()
        pieces = segments(self._random, front.start(self._random), stream)
        self._account.sent(stream)
        events = sum(one.kind is Kind.EVENT for one in owed(stream))
        answers = await self._exchange(front.source, pieces, events)
        self._account.answered(answers, stream)

    async def _exchange(self, source: str, pieces: Sequence[bytes], events: int) -> bytes:
        """Return all that was answered, at least to so many events."""
        loop, answers = asyncio.get_running_loop(), bytearray()
        with socket.socket() as caller:
            caller.settimeout(0)
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            caller.setsockopt(
                socket.SOL_IP, 24, 1
            )  # IP_BIND_ADDRESS_NO_PORT: ports are many for each address
            caller.bind((source, 0))
            await loop.sock_connect(caller, ("127.0.0.1", self._port))
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    await loop.sock_sendall(caller, piece)
                    await asyncio.sleep(0)
            with contextlib.suppress(ConnectionError, TimeoutError):
                chunk = b"."
                while chunk:
                    owing = answers.count(b"HTTP/1.1 202 ") < events
                    async with asyncio.timeout(_PATIENCE_S if owing else _SHORT_PATIENCE_S):
                        chunk = await loop.sock_recv(caller, 65_536)
                    answers += chunk
        return bytes(answers)


async def run(count: int, seconds: float, seed: int) -> Account:
    """Send so many requests, or for so long, through each front in turn."""
    whole, began = Account(), time.perf_counter()
    number = 0
    while whole.requests < count and time.perf_counter() - began < seconds:
        with tempfile.TemporaryDirectory(prefix="tms-fuzz-", dir=_memory_disk()) as directory:
            left_s = seconds - (time.perf_counter() - began)
            front = FRONTS[number % len(FRONTS)]
            size = min(ROUND, count - whole.requests, max(count // len(FRONTS), 1))
            account = await _round(Path(directory), front, size, left_s, seed + number)
        whole.add(account)
        whole.findings = [
            finding if finding.startswith("seed") else f"seed {seed}, {front}: {finding}"
            for finding in whole.findings
        ]
        number += 1
    return whole


async def _round(directory: Path, front: str, count: int, seconds: float, seed: int) -> Account:
    account, random = Account(), Random(seed)
    began = time.perf_counter()
    config = directory / "tms-bridge.toml"
    trusted = '"127.0.0.1"' if front != "peer" else ""
    config.write_text(_CONFIG.format(front=front, trusted=trusted, max_body=MAX_BODY))
    log = directory / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tms_bridge", "serve", "--config", str(config)),
            stdout=output,
            stderr=output,
        )
    try:
        await until(lambda: b'"ready"' in log.read_bytes() or process.returncode is not None)
        caller = Caller(_port(log), account, front, random)

        async def send_on() -> None:
            while account.requests < count and time.perf_counter() - began < seconds:
                await caller.send()

        async with asyncio.TaskGroup() as callers:
            for _ in range(_CALLERS):
                callers.create_task(send_on())
        account.memory_kb = _memory_kb(process.pid)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        ended = await process.wait()
    if ended:
        account.findings.append(f"the bridge ended with {ended}: {log.read_text()[-2000:]}")
    account.findings += [
        line[:2000] for line in log.read_text().splitlines() if '"defect"' in line or "Traceback" in line
    ][:3]
    account.settle(*await _kept(directory / "outbox"))
    account.seconds = time.perf_counter() - began
    return account


def _port(log: Path) -> int:
    lines = map(json.loads, log.read_text().splitlines())
    ready = next(line for line in lines if line["event"] == "ready")
    return int(ready["http"][0].rsplit(":", 1)[1])


async def _kept(directory: Path) -> tuple[list[Row], list[Row]]:
    """Return the events and the quarantined bodies that a stopped bridge has left in its outbox."""
    journal = await Journal.open(Outbox(dir=str(directory), min_free_bytes=0))
    try:
        events, bodies = [await _rows(journal, states) for states in (OUTBOX, QUARANTINE)]
    finally:
        await journal.close()
    # Among the events are the copies of quarantined bodies that are to go to the bus.
    return [row for row in events if row.kind is message.Kind.EVENT], bodies


async def _rows(journal: Journal, states: Sequence[State]) -> list[Row]:
    found: list[Row] = []
    while page := await journal.operators.rows(states, found[-1].seq if found else 0):
        found += page
    return found


def _memory_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


def _memory_disk() -> str | None:
    """Return a disk in memory, where an fsync takes no time and wears nothing out."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a directory of its own is made
