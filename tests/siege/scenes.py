"""Plays attacks beside an honest sender, and measures."""

import asyncio
import http.client
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import aio_pika
import msgspec
from tests.faults.subject import ROOT
from tests.siege.attacks import ATTACKS, Attack, Done, Orders
from tests.siege.besieged import MEMORY_BYTES, QUEUE, Besieged
from tests.siege.cage import Cage
from tests.siege.verdict import Scene, sum_of

from janitor import Janitor

RATE_PER_S: Final = 300
_BEFORE_S: Final = 0.5
_SHARE: Final = 1 / 3
"""Of their own paces, where all attack together: they share one line."""

_WARM_UP_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.25
_PATIENCE_S: Final = 5.0
_PATIENCE_OF_TMS_S: Final = 90.0
"""What all retries of an event take, with their time limits."""

_ARRIVAL_S: Final = 30.0
_PROBES: Final = (("http", "/livez"), ("admin", "/livez"), ("admin", "/metrics"))


class Percentiles(msgspec.Struct):
    """What is read of `latency` in a report of `simulate`."""

    p99_ms: float


class Report(msgspec.Struct):
    """What is read of a report of `simulate`."""

    sent: int
    accepted: int
    given_up: int
    unfinished: int
    calls: int
    answers: dict[str, int]
    details: dict[str, str]
    latency: Percentiles | None


class Watch(threading.Thread):
    """Asks for probes and metrics as a cluster does, each time anew, and looks at the memory.

    Attributes:
        slowest_s: the slowest answer; a probe that fails counts as one that took too long.
        faults: what went wrong, in words, each once.
    """

    def __init__(self, besieged: Besieged, *, caged: bool) -> None:
        super().__init__(daemon=True)
        self._besieged = besieged
        self._caged = caged
        self._over = threading.Event()
        self.slowest_s = 0.0
        self.faults: list[str] = []

    def run(self) -> None:
        """Watch until it is over."""
        while not self._over.wait(_LOOK_EVERY_S):
            for listener, path in _PROBES:
                began = time.perf_counter()
                try:
                    self._besieged.get(listener, path, timeout_s=_PATIENCE_S)
                except (OSError, http.client.HTTPException) as error:
                    self._note(f"{path} of {listener}: {error!r}")
                self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
            if not self._caged and self._besieged.running:
                self._stop_beyond_limit()

    def finish(self) -> None:
        """Watch no more."""
        self._over.set()
        self.join()

    def _stop_beyond_limit(self) -> None:
        if self._besieged.memory_bytes("VmRSS") > MEMORY_BYTES:
            self._note("it had more than 256 MiB, and was killed for it")
            self._besieged.send_signal(signal.SIGKILL)

    def _note(self, words: str) -> None:
        if words not in self.faults:
            self.faults.append(words)


class Stage:
    """Where scenes are played: one bridge, its queue, and whoever attacks."""

    def __init__(self, besieged: Besieged, cage: Cage | None, amqp_url: str, directory: Path) -> None:
        self._besieged = besieged
        self._cage = cage
        self._amqp_url = amqp_url
        self._directory = directory

    def warm_up(self) -> None:
        """Let everybody have done all of it once, so that the calm is no start."""
        asyncio.run(self._missing(self._simulate(_WARM_UP_S).accepted))

    def play(self, title: str, names: Sequence[str], seconds: float, calm_p99_ms: float = 0.0) -> Scene:
        """Play one scene; without a name it is the calm."""
        besieged, killed = self._besieged, self._cage.kills() if self._cage else 0
        besieged.forget_peak()
        began, cpu_began = time.monotonic(), besieged.cpu_s()
        log_began = besieged.log_file.stat().st_size
        watch = Watch(besieged, caged=self._cage is not None)
        with self._attackers(names) as running:
            time.sleep(_BEFORE_S if names else 0)
            watch.start()
            report = self._simulate(seconds)
            watch.finish()
        cpu_share = (besieged.cpu_s() - cpu_began) / (time.monotonic() - began) if besieged.running else 0.0
        faults = [*watch.faults, *self._faults(killed), *_otherwise(report), *_idle(names, running.done)]
        p99_ms = report.latency.p99_ms if report.latency else 0.0
        return Scene(
            title=title,
            sent=report.sent,
            not_202=report.calls - report.answers.get("202", 0),
            given_up=report.given_up + report.unfinished,
            missing=asyncio.run(self._missing(report.accepted)),
            p99_ms=p99_ms,
            calm_p99_ms=calm_p99_ms or p99_ms,
            cpu_share=cpu_share,
            rss_bytes=besieged.memory_bytes("VmHWM") if besieged.running else 0,
            probe_s=watch.slowest_s,
            log_bytes=round(self._strangers_bytes(log_began) / max(1.0, seconds / 60)),
            opened=sum(each.opened for each in running.done),
            most_open=sum(each.most for each in running.done),
            answers=sum_of([each.answers for each in running.done]),
            faults=faults,
        )

    @contextmanager
    def _attackers(self, names: Sequence[str]) -> Iterator["Attackers"]:
        attackers = Attackers(self._directory)
        with ExitStack() as stack:
            stack.callback(attackers.close)
            for name in names:
                ports = {"http": self._besieged.http, "admin": self._besieged.admin}
                attackers.start(Orders(attack=name, share=1.0 if len(names) == 1 else _SHARE, **ports))
            yield attackers
            attackers.stop()

    def _simulate(self, seconds: float) -> Report:
        command = self._besieged.command(
            *("simulate", "--json", "--plain", "--source", "contoso", "--url", self._besieged.url("http")),
            *("--rate", str(RATE_PER_S), "--duration", str(seconds), "--entities", "500"),
            *("--seed", str(time.time_ns())),
        )
        done = subprocess.run(
            command,
            env=self._besieged.environment,
            capture_output=True,
            check=False,
            timeout=seconds + _PATIENCE_OF_TMS_S,
        )
        return msgspec.json.decode(done.stdout, type=Report)

    def _faults(self, killed: int) -> Iterator[str]:
        if self._cage and self._cage.kills() > killed:
            yield "the kernel killed it for want of memory"
        if not self._besieged.running:
            yield "it has ended"

    def _strangers_bytes(self, began: int) -> int:
        """Return how much was logged since, without the lines of honest events, which anybody wants."""
        with self._besieged.log_file.open("rb") as log:
            log.seek(began)
            return sum(len(line) for line in log if b'"outcome":"accepted"' not in line)

    async def _missing(self, accepted: int) -> int:
        """Return how many of these did not come to the queue, and empty it."""
        async with await aio_pika.connect(self._amqp_url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(QUEUE, passive=True)
            deadline = time.monotonic() + _ARRIVAL_S
            while (arrived := queue.declaration_result.message_count or 0) < accepted:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.1)
                queue = await channel.declare_queue(QUEUE, passive=True)
            await queue.purge()
        return max(0, accepted - arrived)


class Attackers:
    """The processes that attack.

    Attributes:
        done: what they did, once they have stopped.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._janitor = Janitor(directory / "attackers")
        self._processes: list[tuple[subprocess.Popen[bytes], Path]] = []
        self.done: list[Done] = []

    def start(self, orders: Orders) -> None:
        """Let one begin."""
        plan, told = (self._directory / f"{orders.attack}.{kind}" for kind in ("json", "told"))
        plan.write_bytes(msgspec.json.encode(orders))
        told.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.siege.attacks", str(plan)]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        self._processes.append((self._janitor.spawn(command, env=environment, cwd=ROOT, output=told), told))

    def stop(self) -> None:
        """Let all of them end, and read what they did."""
        for process, _ in self._processes:
            process.send_signal(signal.SIGTERM)
        for process, told in self._processes:
            process.wait(_PATIENCE_OF_TMS_S)
            self._janitor.forget(process)
            self.done.append(msgspec.json.decode(told.read_bytes(), type=Done))

    def close(self) -> None:
        """End those who are left."""
        self._janitor.clean()


def _otherwise(report: Report) -> Iterator[str]:
    """Say how honest calls were answered, where that was not 202 alone."""
    if report.answers.keys() - {"202"}:
        yield f"honest calls were answered {report.answers}: {report.details}"


def _idle(names: Sequence[str], done: Sequence[Done]) -> Iterator[str]:
    """Say which attack was none."""
    for name, did in zip(names, done, strict=True):
        attack: Attack = ATTACKS[name]
        if attack.expected and not attack.expected & did.answers.keys():
            yield f"{name} met no {' or '.join(sorted(attack.expected))}, but {did.answers}"
        if did.opened < min(attack.callers, 100):
            yield f"{name} opened {did.opened} connections only"
