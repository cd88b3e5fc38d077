"""What the bridge is held to, as ratios within one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from samples import Spread, ratios, spread

_JOURNAL, _NO_DISK = "bridge_journal", "bridge_no_disk"

Results = Any
"""As JSON gives it."""


_RATIOS = (
    ("throughput against aiohttp + aio-pika", 1.9, "per_second", _JOURNAL, "aio_pika", True),
    ("throughput against FastAPI + FastStream", 4.5, "per_second", _JOURNAL, "faststream", True),
    ("throughput against Node Fastify + amqplib", 1.0, "per_second", _JOURNAL, "node", True),
    ("p99 at saturation against Node", 0.7, "p99_ms", _JOURNAL, "node", False),
    ("CPU per event against aiohttp + aio-pika", 0.62, "cpu_us", _JOURNAL, "aio_pika", False),
    ("p99 at saturation against aiohttp + aio-pika", 0.5, "p99_ms", _JOURNAL, "aio_pika", False),
    ("CPU per event against bare aiohttp, journal", 3.0, "cpu_us", _JOURNAL, "bare", False),
    ("CPU per event against bare aiohttp, no disk", 2.4, "cpu_us", _NO_DISK, "bare", False),
)
"""Text, limit, figure, whose, against whose, and whether more is better."""

_PROXIED = (
    ("throughput behind a proxy, against aiohttp + aio-pika", 1.5, "per_second", _JOURNAL, "aio_pika", True),
    ("CPU per event behind a proxy, against aiohttp + aio-pika", 0.62, "cpu_us", _JOURNAL, "aio_pika", False),
    ("p99 behind a proxy, against aiohttp + aio-pika", 0.5, "p99_ms", _JOURNAL, "aio_pika", False),
)
"""The same under a head that differs each time."""


@dataclass(frozen=True)
class Target:
    """One target and what was measured.

    Attributes:
        at_least: true where more is better.
    """

    text: str
    limit: float
    measured: Spread
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the median keeps it."""
        if self.at_least:
            return self.measured.median >= self.limit
        return self.measured.median <= self.limit

    def row(self) -> str:
        """Return the line of a table."""
        bound = "at least" if self.at_least else "at most"
        verdict = "met" if self.met else f"**missed** by {abs(self.measured.median / self.limit - 1):.0%}"
        limit = f"{bound} {self.limit:g} {self.unit}".rstrip()
        return f"| {self.text} | {limit} | {self.measured.text(2)} | {verdict} |"


def targets_of(results: Results) -> list[Target]:
    """Return all targets that this run measured."""
    found: list[Target] = []
    if "comparison" in results:
        found += _comparison(results["comparison"])
    for kind, rounds in results.get("outages", {}).items():
        shares = [one["outage_per_s"] / one["normal_per_s"] for one in rounds]
        found.append(
            Target(f"acceptance while the broker is away: {kind}", 0.7, spread(shares), at_least=True)
        )
    if "outages" in results:
        rounds = [one for kind in results["outages"].values() for one in kind]
        shares = [one["drain_per_s"] / one["live_publish_per_s"] for one in rounds]
        found.append(
            Target("drain of a backlog, against live publishing", 1.0, spread(shares), at_least=True)
        )
    return found + _lives(results)


def _comparison(comparison: Results) -> list[Target]:
    found = _ratios(comparison["full"], _RATIOS)
    return found + _ratios(comparison.get("differing", {}), _PROXIED) + _paced(comparison["paced"])


def _ratios(rounds: Results, wanted: Sequence[tuple[str, float, str, str, str, bool]]) -> list[Target]:
    def of(name: str, figure: str) -> list[float]:
        return [one[figure] for one in rounds[name]]

    def ratio(figure: str, rival: str, ours: str) -> Spread:
        return spread(ratios(of(ours, figure), of(rival, figure)))

    return [
        Target(text, limit, ratio(figure, rival, ours), at_least=at_least)
        for text, limit, figure, ours, rival, at_least in wanted
        if rounds.get(ours) and len(rounds.get(rival, ())) == len(rounds[ours])
    ]


def _paced(paced: Results) -> list[Target]:
    """Twice the floor's p99, and what makes an event durable: a commit's p99."""
    if not (paced.get("bare") and paced.get(_JOURNAL)):
        return []
    # A round in which the bridge had no room for the rate has no figures.
    pairs = [*zip(paced["bare"], paced[_JOURNAL], strict=False)]
    allowed = [2 * bare["p99_ms"] + own.get("commit_p99_ms", 0.0) for bare, own in pairs]
    text = "p99 at 1,000/s against twice bare aiohttp's plus one commit"
    return [Target(text, 1.0, spread(ratios([own["p99_ms"] for _, own in pairs], allowed)), at_least=False)]


def _lives(results: Results) -> list[Target]:
    found: list[Target] = []
    if "start" in results:
        one = results["start"]["journal"]
        start = Spread(one["ready_s"], one["least_s"], one["most_s"])
        found.append(Target("start to ready", 0.7, start, at_least=False, unit="s"))
        idle = spread([one["idle_rss_mb"] for one in results["start"].values()])
        found.append(Target("idle resident memory", 60, idle, at_least=False, unit="MB"))
    if "uptime" in results:
        found.append(
            Target(
                "cost per event, last tenth against first", 1.1, _growth(results["uptime"]), at_least=False
            )
        )
    if "backlog" in results:
        text = f"cost per event with {results['backlog'][-1][0]:,.0f} waiting against none"
        found.append(Target(text, 1.1, _growth(results["backlog"]), at_least=False))
    return found


def _growth(curve: Sequence[tuple[float, Mapping[str, float]]]) -> Spread:
    return spread([curve[-1][1]["cpu_us"] / curve[0][1]["cpu_us"]])
