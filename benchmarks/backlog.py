"""A long outage: what a million waiting events cost, while they gather, at a start, and while they drain.

    PYTHONPATH=deploy/local .venv/bin/python benchmarks/backlog.py              some six minutes
    PYTHONPATH=deploy/local .venv/bin/python benchmarks/backlog.py --events 50000

It needs wrk, and prints each figure beside its bound; exit code 1 says that one is not kept. Rates of a noisy
machine say little, so the processor time of a webhook is told, too.
"""

import argparse
import base64
import random
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
_PACED_S = 15.0
_LIVE_S = 10.0
_WARM_UP_S = 2.0
_BODY = base64.b64encode(b"{}".rjust(1000)).decode()
_MIB = 1 << 20


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
    parser.add_argument("--end-s", type=float, default=30.0, help="how long either end is taken in over HTTP")
    parser.add_argument("--drain-s", type=float, default=900.0, help="how long the drain is waited for")
    chosen = parser.parse_args(arguments)
    bad = 0
    with broker(best_installation()) as node:
        for bound in measure(node, chosen.events, chosen.end_s, chosen.drain_s):
            print(bound, flush=True)
            bad += not bound.kept
    return 1 if bad else 0


def measure(node: Node, count: int, end_s: float, drain_s: float) -> Iterator[Bound]:
    """Look at it without a backlog; let so many events gather, start anew, let them drain."""
    url = place(node, "backlog")
    receiver = bridge(url, journal=True, name="backlog")
    settings = receiver.directory / "tms-bridge.toml"
    text = settings.read_text()
    try:
        receiver.start()
        live = measure_full(receiver, _LIVE_S, entities=ENTITIES)["published_per_s"]
        p99_ms = measure_paced(receiver, _PACED_S, rate=RATE, entities=ENTITIES)["p99_ms"]
        receiver.stop()
        # A port that nobody listens on: the broker is away.
        settings.write_text(text.replace(f":{node.port}/", ":1/"))
        yield from _gather(receiver, count, end_s)
        settings.write_text(text)
        yield from _drain(receiver, live, p99_ms, drain_s)
    finally:
        receiver.close()


def _gather(receiver: Receiver, count: int, seconds: float) -> Iterator[Bound]:
    """Take in the first as fast as it goes, import what lies between, take in the last."""
    first = _take_in(receiver, seconds)
    _fill(receiver, count - round(2 * first["requests"]))
    last = _take_in(receiver, seconds)
    yield Bound("gathering: refused", first["refused"] + last["refused"], most=0)
    yield Bound("gathering: rate of the last / the first", last["per_s"] / first["per_s"], least=0.9)
    yield Bound("gathering: CPU of the last / the first", last["cpu_us"] / first["cpu_us"], most=1.1)
    yield Bound("gathering: peak memory, MB", max(first["peak_mb"], last["peak_mb"]), most=150)


def _take_in(receiver: Receiver, seconds: float) -> Figures:
    """Start it and saturate it for so long, with the broker away."""
    receiver.start()
    saturate(receiver.target, 1.0, entities=ENTITIES)  # warm up
    before = receiver.cpu_s
    load = saturate(receiver.target, seconds, entities=ENTITIES)
    cpu_us = (receiver.cpu_s - before) / load.requests * 1e6
    waiting, peak_mb = receiver.metric(EVENTS), receiver.memory_mb[1]
    _tell(f"{waiting:,.0f} waiting, {load.per_second:,.0f} a second, {cpu_us:.0f} us of CPU each")
    receiver.stop()
    return {
        "requests": load.requests,
        "refused": load.refused,
        "per_s": load.per_second,
        "cpu_us": cpu_us,
        "peak_mb": peak_mb,
    }


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
    return f'{head}"id":"{_id(number)}","entity":"{number % ENTITIES}","body":"{_BODY}"}}\n'.encode()


def _id(number: int) -> uuid.UUID:
    """Return an id that rises with time, as the bridge's own do; with others the journal's index is large."""
    milliseconds = 1_790_000_000_000 + number
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | random.getrandbits(62))


def _drain(receiver: Receiver, live: float, p99_ms: float, drain_s: float) -> Iterator[Bound]:
    """Start with the backlog; take in meanwhile at a fixed rate; let the rest drain alone."""
    journal = receiver.directory / "outbox" / "outbox.db"
    fullest = journal.stat().st_size
    yield Bound("start to ready with all of it waiting, s", receiver.start(), most=2)
    _wait_for_publishing(receiver)
    keep_rate(receiver.target, _WARM_UP_S, rate=RATE, entities=ENTITIES)
    meanwhile = keep_rate(receiver.target, _PACED_S, rate=RATE, entities=ENTITIES)
    rate, left = _drain_alone(receiver, drain_s)
    _tell(f"{rate:,.0f} a second, live {live:,.0f}; p99 {meanwhile.p99_ms:.1f} ms, without {p99_ms:.1f}")
    yield Bound("draining: p99 of acceptance / without", meanwhile.p99_ms / p99_ms, most=3)
    yield Bound("draining: rate alone / live", rate / live, least=0.8)
    yield Bound("draining: peak memory, MB", receiver.memory_mb[1], most=150)
    yield Bound("draining: left, since the time was up", left, most=0)
    yield Bound("file in the end / at its fullest", journal.stat().st_size / fullest, most=1.02)


def _wait_for_publishing(receiver: Receiver) -> None:
    waiting = receiver.metric(EVENTS)
    while receiver.metric(EVENTS) >= waiting:
        time.sleep(0.05)


def _drain_alone(receiver: Receiver, seconds: float) -> tuple[float, float]:
    """Wait until all of it is published, or time is up; return how many were each second, and the rest."""
    began, start = time.perf_counter(), receiver.metric(EVENTS)
    left, took = start, 0.0
    while left and took < seconds:
        time.sleep(0.2)
        left, took = receiver.metric(EVENTS), time.perf_counter() - began
    return (start - left) / took, left


def _tell(text: str) -> None:
    print(f"backlog: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main(sys.argv[1:]))
