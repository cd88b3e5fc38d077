"""Runs a target for so many inputs or so long, and keeps what goes wrong.

Wrong is: an exception that is none of the declared ones, two readings that do not agree, an input that takes
long, and memory that grows with their number.
"""

import contextlib
import hashlib
import resource
import signal
import time
import traceback
from collections.abc import Callable
from random import Random
from types import FrameType

import msgspec
from tests.fuzz.target import FINDINGS, Target

SLOW_S = 0.25
"""No input here is so long that it may take that."""

HANG_S = 20.0
GROWTH_KB = 64 * 1024
_EVERY = 4096
_WARM = 50_000
"""Inputs after which the caches are full."""


class HangError(Exception):
    """One input takes for ever."""


class Report(msgspec.Struct):
    """What a run has done; the time is that of the clock, other programs' included."""

    target: str
    seed: int
    inputs: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    grown_kb: int = 0
    findings: list[str] = []

    def __str__(self) -> str:
        rate = self.inputs / max(self.seconds, 0.001)
        return (
            f"{self.target}: {self.inputs:,} in {self.seconds:,.0f} s ({rate:,.0f}/s), seed {self.seed}; "
            f"slowest {self.slowest_s * 1000:.0f} ms, memory +{self.grown_kb // 1024} MiB, "
            f"{len(self.findings)} findings"
        )


class Watchdog:
    """Interrupts an input that takes too long."""

    def __init__(self, started: Callable[[], float]) -> None:
        self._started = started

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _look(self, _number: int, _frame: FrameType | None) -> None:
        if time.perf_counter() - self._started() > HANG_S:
            raise HangError


class Run:
    """One target under one seed."""

    def __init__(self, target: Target, seed: int) -> None:
        self._target = target
        self._random = Random(seed)
        self._began = 0.0
        self.report = Report(target.name, seed)

    def go(self, count: int, seconds: float, *, keep: bool = True) -> Report:
        """Judge so many inputs, or for so long; whichever ends first, or Ctrl-C does."""
        began, report = time.perf_counter(), self.report
        warm_kb = 0
        with Watchdog(lambda: self._began), contextlib.suppress(KeyboardInterrupt):
            while report.inputs < count and time.perf_counter() - began < seconds:
                for _ in range(min(_EVERY, count - report.inputs)):
                    self.try_one(self._target.make(self._random), keep=keep)
                if report.inputs >= _WARM:
                    warm_kb = warm_kb or _memory_kb()
                    report.grown_kb = _memory_kb() - warm_kb
        report.seconds = time.perf_counter() - began
        if report.grown_kb > GROWTH_KB:
            report.findings.append(f"memory has grown by {report.grown_kb} KB")
        return report

    def try_one(self, given: bytes, *, keep: bool = True) -> None:
        """Judge one input."""
        self._began = time.perf_counter()
        try:
            self._target.judge(given)
            took_s = time.perf_counter() - self._began
            if took_s > SLOW_S:  # or somebody else had the processor
                took_s = self._processor_s(given)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            self._note(given, traceback.format_exc(limit=-4), keep=keep)
        else:
            if took_s > SLOW_S:
                self._note(given, f"it took {took_s:.3f} s", keep=keep)
            self.report.slowest_s = max(self.report.slowest_s, took_s)
        self.report.inputs += 1

    def _processor_s(self, given: bytes) -> float:
        began = time.process_time()
        self._target.judge(given)
        return time.process_time() - began

    def _note(self, given: bytes, what: str, *, keep: bool) -> None:
        if len(self.report.findings) < 20:
            name = hashlib.blake2b(given, digest_size=6).hexdigest()
            self.report.findings.append(f"{name}: {given[:300]!r}\n{what}")
            if keep:
                folder = FINDINGS / self._target.name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(given)


def _memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
