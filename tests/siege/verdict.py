"""What was measured of a scene, what it may be at most, and how that is told."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

MOST_RSS_BYTES: Final = 160_000_000
MOST_PROBE_S: Final = 1.0
MOST_LOG_BYTES: Final = 1_000_000
MOST_SLOWER: Final = 3.0

BEGIN: Final = "<!-- what make siege measured -->\n"
END: Final = "<!-- end -->\n"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One attack, or several, beside the honest sender; with none it is the calm to compare with.

    Attributes:
        title: for the table.
        sent: honest events.
        not_202: calls of the honest sender that were answered otherwise, or not at all.
        given_up: honest events that TMS would have lost.
        missing: honest events that were answered 2xx and did not come to the bus.
        p99_ms: of the honest calls.
        calm_p99_ms: the same without an attack.
        cpu_share: of one processor that the bridge used.
        rss_bytes: the bridge's memory at most.
        probe_s: the slowest answer of `/livez` on both listeners and of `/metrics`.
        log_bytes: what the log grew by in a minute, without the lines of honest events.
        opened: connections of the attackers.
        most_open: how many they had at once.
        answers: what was answered to them, by HTTP status, where they read it.
        faults: what else went wrong, in words.
    """

    title: str
    sent: int
    not_202: int
    given_up: int
    missing: int
    p99_ms: float
    calm_p99_ms: float
    cpu_share: float
    rss_bytes: int
    probe_s: float
    log_bytes: int
    opened: int = 0
    most_open: int = 0
    answers: dict[str, int] = msgspec.field(default_factory=dict)
    faults: list[str] = msgspec.field(default_factory=list)

    def misses(self, floor_ms: float = 0.0) -> list[str]:
        """Return what was missed, in words; what takes no longer than `floor_ms` is good in any case."""
        most_ms = max(MOST_SLOWER * self.calm_p99_ms, floor_ms)
        most_s = max(MOST_PROBE_S, floor_ms / 1000)
        judged = (
            (self.sent == 0, "nothing was sent"),
            (self.not_202 > 0, f"{self.not_202} honest calls were not answered 202"),
            (self.given_up > 0, f"{self.given_up} honest events were given up"),
            (self.missing > 0, f"{self.missing} honest events are missing on the bus"),
            (self.p99_ms > most_ms, f"p99 {self.p99_ms:.1f} ms, at most {most_ms:.1f} ms"),
            (self.rss_bytes >= MOST_RSS_BYTES, f"RSS {_mb(self.rss_bytes)}, under {_mb(MOST_RSS_BYTES)}"),
            (self.probe_s > most_s, f"a probe took {self.probe_s:.2f} s, at most {most_s:g} s"),
            (self.log_bytes >= MOST_LOG_BYTES, f"log {_mb(self.log_bytes)} a minute, under 1.0 MB"),
        )
        return [*self.faults, *(words for missed, words in judged if missed)]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run.

    Attributes:
        cage: what held the bridge's memory, in words.
        seconds: how long each scene was.
        floor_ms: how long calls and probes may take in any case.
    """

    cage: str
    seconds: float
    floor_ms: float
    scenes: list[Scene]

    @property
    def passed(self) -> bool:
        """Whether nothing was missed."""
        return bool(self.scenes) and not any(scene.misses(self.floor_ms) for scene in self.scenes)


_HEAD: Final = (
    *("attack", "connections, at once", "answered", "honest events", "202", "given up"),
    *("p99, calm", "processor", "RSS", "slowest probe", "log a minute"),
)


def row(scene: Scene) -> tuple[str, ...]:
    """Return what a table says of a scene."""
    share = (1 - scene.not_202 / scene.sent) * 100 if scene.sent else 0.0
    answers = ", ".join(f"{count:,} x {status}" for status, count in scene.answers.items())
    return (
        scene.title,
        f"{scene.opened:,}, {scene.most_open:,}" if scene.opened else "none",
        answers or "-",
        f"{scene.sent:,}",
        f"{share:g} %",
        str(scene.given_up),
        f"{scene.p99_ms:.1f}, {scene.calm_p99_ms:.1f} ms",
        f"{scene.cpu_share:.0%}",
        _mb(scene.rss_bytes),
        f"{scene.probe_s * 1000:.0f} ms",
        f"{scene.log_bytes / 1000:.0f} KB",
    )


def table(outcome: Outcome) -> str:
    """Return the Markdown table of a run."""
    rows = [_HEAD, ("---",) * len(_HEAD), *map(row, outcome.scenes)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def in_words(outcome: Outcome) -> str:
    """Return the table as a terminal shows it, and what was missed."""
    rows = [_HEAD, *map(row, outcome.scenes)]
    widths = [max(len(cells[at]) for cells in rows) for at in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) for cells in rows
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *_verdict(outcome)])


def _verdict(outcome: Outcome) -> Iterator[str]:
    for scene in outcome.scenes:
        for words in scene.misses(outcome.floor_ms):
            yield f"MISSED  {scene.title}: {words}"
    yield f"{'held' if outcome.passed else 'FAILED'}: {outcome.seconds:g} s each, {outcome.cage}"


def refresh(page: str, outcome: Outcome, when: str) -> str:
    """Return the page with this run's table in the place of the last one's."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    told = f"{when}, {outcome.seconds:g} s each, {outcome.cage}:\n\n{table(outcome)}"
    return f"{before}{BEGIN}{told}{END}{after}"


def sum_of(answers: Sequence[dict[str, int]]) -> dict[str, int]:
    """Return several counts as one."""
    summed: dict[str, int] = {}
    for counts in answers:
        for status, count in counts.items():
            summed[status] = summed.get(status, 0) + count
    return dict(sorted(summed.items()))


def _mb(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB"
