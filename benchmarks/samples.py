"""What is said of repeated measurements: median, extremes, and an interval for ratios."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_RESAMPLES = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """A median with the least and the most that was measured."""

    median: float
    least: float
    most: float

    def text(self, digits: int = 2) -> str:
        """Return `median (least to most)`."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f} to {self.most:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Summarise measurements of one thing."""
    return Spread(median(values), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Divide round by round: what slows a whole round down cancels out."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that a share of the ordered values does not exceed; the nearest rank."""
    rank = max(0, min(len(ordered) - 1, int(len(ordered) * share)))
    return ordered[rank]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return where the median lies with 95 % confidence, by bootstrap; the same for the same values."""
    chance = random.Random(0)  # noqa: S311 - resampling, repeatable
    medians = sorted(median(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    tail = (1 - _CONFIDENCE) / 2
    return percentile(medians, tail), percentile(medians, 1 - tail)
