"""What was taken, delivered and refused over the last hour and day, in numbers of a fixed size.

Counts are kept by the second for an hour; latencies, reasons and the depth of the outbox by the minute
for an hour, and by ten minutes for a day.
"""

from array import array
from bisect import bisect_left
from itertools import accumulate
from typing import Final

import msgspec

HOUR_S: Final = 3600
BOUNDS_MS: Final = tuple(round(0.5 * 1.5**step, 3) for step in range(31))
"""Upper bounds of the latency buckets, 0.5 ms to 96 s; one more takes what is above."""

_OTHERS: Final = "other"
_MAX_REASONS: Final = 24


class Span(msgspec.Struct):
    """What happened in one span of time.

    Attributes:
        start: Unix seconds.
        taken: events answered 2xx.
        delivered: events that the broker confirmed.
        refused: calls that were turned away, by outcome.
        depth: the most events that waited in the outbox.
        answers: how many calls were answered within each of `BOUNDS_MS`.
        away: the broker was not there at some time of it.
    """

    start: int
    taken: int = 0
    delivered: int = 0
    refused: dict[str, int] = {}
    depth: int = 0
    answers: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    away: bool = False

    def add(self, other: "Span") -> None:
        """Take in what happened in a part of this span."""
        self.taken += other.taken
        self.delivered += other.delivered
        for outcome, count in other.refused.items():
            known = outcome in self.refused or len(self.refused) < _MAX_REASONS
            reason = outcome if known else _OTHERS
            self.refused[reason] = self.refused.get(reason, 0) + count
        self.depth = max(self.depth, other.depth)
        self.answers = [*map(int.__add__, self.answers, other.answers)]
        self.away = self.away or other.away

    def percentile_ms(self, share: float) -> float | None:
        """Return the bound within which this share of the calls was answered; None where none came."""
        total = sum(self.answers)
        if not total:
            return None
        sums = list(accumulate(self.answers))
        place = bisect_left(sums, share * total)
        return BOUNDS_MS[min(place, len(BOUNDS_MS) - 1)]


class Spans:
    """A ring of spans of one length; those in which the bridge was not up are not there."""

    def __init__(self, length_s: int, keep: int) -> None:
        self.length_s = length_s
        self._keep = keep
        self._spans: dict[int, Span] = {}

    def at(self, now: float) -> Span:
        """Return the span of a moment, made if need be."""
        start = int(now) // self.length_s * self.length_s
        span = self._spans.get(start)
        if span is None:
            span = self._spans[start] = Span(start)
            oldest = start - self._keep * self.length_s
            self._spans = {begin: kept for begin, kept in self._spans.items() if begin > oldest}
        return span

    def over(self, now: float) -> list[Span | None]:
        """Return the last `keep` spans, the oldest first; None where the bridge was not up."""
        end = int(now) // self.length_s * self.length_s
        return [self._spans.get(end - back * self.length_s) for back in reversed(range(self._keep))]


class Seconds:
    """How often something happened in each second of the last hour."""

    def __init__(self) -> None:
        self._counts = array("L", bytes(array("L").itemsize * HOUR_S))
        self._newest = 0

    def add(self, now: int, count: int) -> None:
        """It happened so often."""
        self._forget(now)
        self._counts[now % HOUR_S] += count

    def total(self, now: int, seconds: int) -> int:
        """Return how often it happened in the last `seconds`, at most an hour."""
        self._forget(now)
        return sum(self._counts[second % HOUR_S] for second in range(now - min(seconds, HOUR_S) + 1, now + 1))

    def _forget(self, now: int) -> None:
        """Clear the places of the seconds between; a clock that stepped back goes on counting where it is."""
        for second in range(max(self._newest + 1, now - HOUR_S + 1), now + 1):
            self._counts[second % HOUR_S] = 0
        self._newest = max(self._newest, now)


class History:
    """Everything that is counted over time; moments are Unix seconds.

    What happens is only counted, since it happens at every webhook. `look`, to be called every second, files
    the counts under their second, minute and ten minutes.
    """

    def __init__(self) -> None:
        self.taken, self.delivered, self.refused = Seconds(), Seconds(), Seconds()
        self.hour, self.day = Spans(60, 60), Spans(600, 144)
        self._new = Span(0)

    def note_taken(self, duration_ms: float) -> None:
        """An event was answered 2xx."""
        self._new.taken += 1
        self._new.answers[bisect_left(BOUNDS_MS, duration_ms)] += 1

    def note_refused(self, outcome: str) -> None:
        """A call was turned away."""
        refused = self._new.refused
        refused[outcome] = refused.get(outcome, 0) + 1

    def note_delivered(self) -> None:
        """The broker confirmed an event."""
        self._new.delivered += 1

    def look(self, now: float, depth: int, *, away: bool) -> None:
        """File what was counted since the last look; `depth` events wait, and the broker may be away."""
        new, self._new = self._new, Span(0)
        new.depth, new.away = depth, away
        second = int(now)
        self.taken.add(second, new.taken)
        self.delivered.add(second, new.delivered)
        self.refused.add(second, sum(new.refused.values()))
        for spans in (self.hour, self.day):
            spans.at(now).add(new)
