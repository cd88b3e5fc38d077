"""The comparison: every receiver in turn, round after round, at saturation and at a fixed rate."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from brokers import http_api, place
from installation import Installation
from open_loop import keep_rate
from rabbitmq import BrokerFailedError, Node
from receivers import Receiver, bridge, node_rival, python_rival
from wrk import Load, LoadFailedError, saturate

Figures = dict[str, float]
Rounds = dict[str, list[Figures]]

FAILURES = (LoadFailedError, BrokerFailedError, OSError, TimeoutError)
"""What may befall one measurement, and must not end the others."""

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
            with _told():
                receiver.start()
        with _told():
            everyone.append(closing.enter_context(http_api(installation)))
        yield everyone


@contextmanager
def _told() -> Iterator[None]:
    """Say that a receiver did not start; the comparison finds it not running, and goes on without it."""
    try:
        yield
    except FAILURES as error:
        print(f"bench: {error}", file=sys.stderr, flush=True)


class Comparison:
    """All receivers, measured in turn; one that fails is out of it, and the others go on.

    Attributes:
        full: what saturation gave, by receiver, under one head.
        differing: the same under a head that differs each time (`X-Request-Id`, `traceparent`).
        paced: what the fixed rate gave, by receiver.
        failures: why a receiver is out of it.
    """

    def __init__(self, everyone: Sequence[Receiver]) -> None:
        self._everyone = list(everyone)
        self.full: Rounds = {receiver.name: [] for receiver in everyone}
        self.differing: Rounds = {receiver.name: [] for receiver in everyone}
        self.paced: Rounds = {receiver.name: [] for receiver in everyone}
        self.failures: dict[str, str] = {}

    def run(self, plan: Plan) -> None:
        """Warm everyone up, then measure round after round."""
        # Imports, caches, the just-in-time compiler.
        self._each(self._everyone, lambda receiver: measure_full(receiver, 1.0))
        for number in range(plan.rounds):
            # Nobody always comes after the same neighbour's leftovers.
            shift = number % max(1, len(self._everyone))
            turn = [*self._everyone[shift:], *self._everyone[:shift]]
            self._each(turn, lambda receiver: self._measure(receiver, plan))

    def _measure(self, receiver: Receiver, plan: Plan) -> None:
        figures = measure_full(receiver, plan.saturate_s)
        self.full[receiver.name].append(figures)
        self.differing[receiver.name].append(measure_full(receiver, plan.saturate_s, differing=True))
        if figures["per_second"] > _ROOM * RATE:  # else its queue would only grow
            self.paced[receiver.name].append(measure_paced(receiver, plan.rate_s))

    def _each(self, turn: Sequence[Receiver], measure: Callable[[Receiver], object]) -> None:
        for receiver in turn:
            try:
                measure(receiver)
            except FAILURES as error:
                self._drop(receiver, str(error) or type(error).__name__)

    def _drop(self, receiver: Receiver, reason: str) -> None:
        print(f"bench: {receiver.title} is out: {reason}", file=sys.stderr, flush=True)
        self.failures[receiver.title] = reason[-2000:]
        self._everyone.remove(receiver)
        del self.full[receiver.name], self.differing[receiver.name], self.paced[receiver.name]


def measure_full(  # noqa: PLR0913 - what is varied
    receiver: Receiver,
    seconds: float,
    *,
    connections: int = 64,
    body_bytes: int = 550,
    entities: int = 10_000,
    differing: bool = False,
) -> Figures:
    """Saturate one receiver, and wait until it has published all."""
    before, began = receiver.cpu_s, time.perf_counter()
    load = saturate(
        receiver.target,
        seconds,
        connections=connections,
        body_bytes=body_bytes,
        entities=entities,
        differing=differing,
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
