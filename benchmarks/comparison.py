"""The comparison: every receiver in turn, round after round, at saturation and at a fixed rate."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from brokers import http_api, place
from installation import Installation
from open_loop import keep_rate
from rabbitmq import Node
from receivers import Receiver, bridge, node_rival, python_rival
from wrk import Load, LoadFailedError, saturate

Figures = dict[str, float]
Rounds = dict[str, list[Figures]]

RATE = 1000.0
_ROOM = 1.3
_PAUSE_S = 0.3
_COMMITS = "tms_bridge_outbox_commit_duration_seconds"


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    saturate_s: float
    rate_s: float


@contextmanager
def receivers(node: Node, installation: Installation) -> Iterator[list[Receiver]]:
    """Start everything that is compared; the floor comes first."""
    with ExitStack() as closing:
        everyone = [
            python_rival("bare", "bare aiohttp (publishes nothing)", "bare.py", ""),
            bridge(place(node, "journal"), journal=True),
            bridge(place(node, "memory"), journal=False),
            python_rival("aio_pika", "aiohttp + aio-pika", "plain_aio_pika.py", place(node, "aio-pika")),
            python_rival(
                "faststream", "FastAPI + FastStream", "faststream_app.py", place(node, "faststream")
            ),
            node_rival(place(node, "node")),
        ]
        for receiver in everyone:
            closing.callback(receiver.close)
            receiver.start()
        everyone.append(closing.enter_context(http_api(installation)))
        yield everyone


def compare(everyone: Sequence[Receiver], plan: Plan) -> tuple[Rounds, Rounds]:
    """Measure all of them in turn; return what saturation and the fixed rate gave, by receiver."""
    full: Rounds = {receiver.name: [] for receiver in everyone}
    paced: Rounds = {receiver.name: [] for receiver in everyone}
    for receiver in everyone:
        measure_full(receiver, 1.0)  # warm up: imports, caches, the just-in-time compiler
    for number in range(plan.rounds):
        # Nobody always comes after the same neighbour's leftovers.
        shift = number % len(everyone)
        for receiver in [*everyone[shift:], *everyone[:shift]]:
            figures = measure_full(receiver, plan.saturate_s)
            full[receiver.name].append(figures)
            if figures["per_second"] > _ROOM * RATE:  # else its queue would only grow
                paced[receiver.name].append(measure_paced(receiver, plan.rate_s))
    return full, paced


def measure_full(
    receiver: Receiver,
    seconds: float,
    *,
    connections: int = 64,
    body_bytes: int = 550,
    entities: int = 10_000,
) -> Figures:
    """Saturate one receiver, and wait until it has published all."""
    before, began = receiver.cpu_s, time.perf_counter()
    load = saturate(
        receiver.target, seconds, connections=connections, body_bytes=body_bytes, entities=entities
    )
    receiver.settle()
    took = time.perf_counter() - began
    figures = _figures(receiver, load, before)
    figures["published_per_s"] = (load.requests - load.refused) / took
    time.sleep(_PAUSE_S)
    return figures


def measure_paced(
    receiver: Receiver, seconds: float, *, rate: float = RATE, entities: int = 10_000
) -> Figures:
    """Send to one receiver at a fixed rate."""
    before, commits = receiver.cpu_s, receiver.buckets(_COMMITS)
    load = keep_rate(receiver.target, seconds, rate=rate, entities=entities)
    receiver.settle()
    figures = _figures(receiver, load, before)
    if commits:
        figures["commit_p99_ms"] = _p99_s(commits, receiver.buckets(_COMMITS)) * 1000
    time.sleep(_PAUSE_S)
    return figures


def _p99_s(before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]) -> float:
    """Return the bound of the bucket that holds the 99th percentile of what came between."""
    since = [(bound, late - early) for (bound, late), (_, early) in zip(after, before, strict=True)]
    return next(bound for bound, count in since if count >= 0.99 * since[-1][1])


def _figures(receiver: Receiver, load: Load, cpu_before_s: float) -> Figures:
    if load.refused or load.broken:
        raise LoadFailedError(f"{receiver.title} refused {load.refused} and broke {load.broken} requests")
    figures = {key: float(value) for key, value in asdict(load).items()}
    figures["per_second"] = load.per_second
    figures["cpu_us"] = (receiver.cpu_s - cpu_before_s) / load.requests * 1e6
    figures["peak_rss_mb"] = receiver.memory_mb[1]
    return figures
