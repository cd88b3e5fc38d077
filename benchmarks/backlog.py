"""A long outage: what a million waiting events cost, while they gather, at a start, and while they drain.

    PYTHONPATH=deploy/local .venv/bin/python benchmarks/backlog.py              about six minutes
    PYTHONPATH=deploy/local .venv/bin/python benchmarks/backlog.py --events 50000

It needs wrk, and prints each figure beside its bound; exit code 1 says that one is not kept. Rates of a noisy
machine say little, so the processor time of a webhook is told, too.
"""

import argparse
import base64
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from brokers import best_installation, broker, place
from comparison import Figures, measure_full, measure_paced
from open_loop import keep_rate
from rabbitmq import Node
from receivers import Receiver, bridge
from wrk import LoadFailedError, saturate

EVENTS = "tms_bridge_outbox_events"
ENTITIES = 10_000
RATE = 500.0
_CHUNK_S = 5.0
_PACED_S = 15.0
_LIVE_S = 10.0
_SHARE = 10
"""The first and the last tenth of the backlog are compared."""

_BODY = base64.b64encode(b"{}".rjust(1000)).decode()
_MIB = 1 << 20
_REST = 0.02
"""Of the backlog: where the drain is no longer measured, since little is left to read ahead."""


@dataclass(frozen=True)
class Bound:
    """What is measured, and what is asked of it."""

    name: str
    value: float
    least: float = 0.0
    most: float = float("inf")

    @property
    def kept(self) -> bool:
        """Whether it is as it should be."""
        return self.least <= self.value <= self.most

    def __str__(self) -> str:
        asked = f"at least {self.least:g}" if self.least else f"at most {self.most:g}"
        return f"{self.name:<58} {self.value:>10.2f}   {asked:<15} {'' if self.kept else 'NOT KEPT'}"


def main(arguments: Sequence[str]) -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    count = parser.parse_args(arguments).events
    with broker(best_installation()) as node:
        bounds = list(measure(node, count))
    print("\n".join(map(str, bounds)))
    return 0 if all(bound.kept for bound in bounds) else 1


def measure(node: Node, count: int) -> Iterator[Bound]:
    """Let so many events gather, start anew, let them drain."""
    url = place(node, "backlog")
    away = url.replace(f":{node.port}/", ":1/")  # a port that nobody listens on
    receiver = bridge(away, journal=True, name="backlog")
    try:
        yield from _gather(receiver, count)
        settings = receiver.directory / "tms-bridge.toml"
        settings.write_text(settings.read_text().replace(away, url))
        yield from _drain(receiver)
    finally:
        receiver.close()


def _gather(receiver: Receiver, count: int) -> Iterator[Bound]:
    """Take the first tenth in as fast as it goes, import what lies between, take the last tenth in."""
    tenth = count // _SHARE
    first, peak_mb = _take_in(receiver, tenth)
    _fill(receiver, count - 2 * tenth)
    last, peak_mb_later = _take_in(receiver, count)
    yield Bound("gathering: refused", first["refused"] + last["refused"], most=0)
    yield Bound("gathering: rate of the last tenth / the first", last["per_s"] / first["per_s"], least=0.9)
    yield Bound("gathering: CPU of the last tenth / the first", last["cpu_us"] / first["cpu_us"], most=1.1)
    yield Bound("gathering: peak memory, MB", max(peak_mb, peak_mb_later), most=150)


def _take_in(receiver: Receiver, until: int) -> tuple[Figures, float]:
    """Start it and saturate it until so many wait; return the means, and the peak of its memory."""
    chunks: list[Figures] = []
    receiver.start()
    saturate(receiver.target, 1.0, entities=ENTITIES)  # warm up
    while (waiting := receiver.metric(EVENTS)) < until:
        before = receiver.cpu_s
        load = saturate(receiver.target, _CHUNK_S, entities=ENTITIES)
        cpu_us = (receiver.cpu_s - before) / load.requests * 1e6
        chunks.append({"per_s": load.per_second, "cpu_us": cpu_us, "refused": load.refused})
        _tell(f"{waiting:,.0f} waiting, {load.per_second:,.0f} a second, {cpu_us:.0f} us of CPU each")
    peak_mb = receiver.memory_mb[1]
    receiver.stop()
    return {key: sum(chunk[key] for chunk in chunks) / len(chunks) for key in chunks[0]}, peak_mb


def _fill(receiver: Receiver, count: int) -> None:
    """Put events into the outbox while no bridge runs, which is faster than over HTTP."""
    command = [receiver.command[0], "outbox", "import", "-", "--config", "tms-bridge.toml"]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=receiver.directory
    )
    if process.stdin is not None:
        process.stdin.writelines(map(_exported, range(count)))
    process.communicate()
    if process.returncode:
        raise LoadFailedError(f"{' '.join(command)} ended with {process.returncode}")
    _tell(f"{count:,} imported, {count / (time.perf_counter() - began):,.0f} a second")


def _exported(number: int) -> bytes:
    """Return one line of an export, about as long as a real event."""
    head = (
        '{"state":"pending","seq":0,"why":"","seen":1,"kind":"event","source":"contoso","trigger":"class",'
        '"status":"scheduled","routing_key":"tms.class.scheduled","received_at_us":1790000000000000,'
        f'"replayed":false,"reason":"","traceparent":"00-{"1" * 32}-{"1" * 16}-01","digest":"{number:064x}",'
    )
    return f'{head}"id":"{uuid.uuid4()}","entity":"{number % ENTITIES}","body":"{_BODY}"}}\n'.encode()


def _drain(receiver: Receiver) -> Iterator[Bound]:
    """Start with the backlog; take in meanwhile at a fixed rate; let the rest drain alone; compare."""
    journal = receiver.directory / "outbox" / "outbox.db"
    full_mib = journal.stat().st_size / _MIB
    yield Bound("start to ready with all of it waiting, s", receiver.start(), most=2)
    _wait_for_publishing(receiver)
    meanwhile = keep_rate(receiver.target, _PACED_S, rate=RATE, entities=ENTITIES)
    draining = receiver.metric(EVENTS)
    drained_per_s = _drain_alone(receiver)
    _tell(f"{draining:,.0f} were left after {_PACED_S:g} s; then {drained_per_s:,.0f} a second")
    live = measure_full(receiver, _LIVE_S, entities=ENTITIES)
    alone = measure_paced(receiver, _PACED_S, rate=RATE, entities=ENTITIES)
    _tell(
        f"live {live['published_per_s']:,.0f} a second; p99 {meanwhile.p99_ms:.1f}, {alone['p99_ms']:.1f} ms"
    )
    yield Bound("draining: still at it when the fixed rate ended (1: yes)", float(draining > 0), least=1)
    yield Bound("draining: rate alone / live", drained_per_s / live["published_per_s"], least=0.8)
    yield Bound("draining: p99 of acceptance / without", meanwhile.p99_ms / alone["p99_ms"], most=3)
    yield Bound("draining: peak memory, MB", receiver.memory_mb[1], most=150)
    yield Bound("file after all that / at its fullest", journal.stat().st_size / _MIB / full_mib, most=1.02)


def _wait_for_publishing(receiver: Receiver) -> None:
    waiting = receiver.metric(EVENTS)
    while receiver.metric(EVENTS) >= waiting:
        time.sleep(0.05)


def _drain_alone(receiver: Receiver) -> float:
    """Wait until nearly all of it is published; return how many were each second."""
    began, start = time.perf_counter(), receiver.metric(EVENTS)
    while (left := receiver.metric(EVENTS)) > _REST * start:
        time.sleep(0.2)
    rate = (start - left) / (time.perf_counter() - began)
    receiver.settle()
    return rate


def _tell(text: str) -> None:
    print(f"backlog: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main(sys.argv[1:]))
