"""Plots of an hour and a day as paths of SVG: no text, no style, nothing that a strict policy would stop."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec

from tms_bridge.console.format import number
from tms_bridge.history import Span, Spans

WIDTH: Final = 600
HEIGHT: Final = 100

Point = float | None
"""A value, or a gap where the bridge was not up."""


class PlotLine(msgspec.Struct, frozen=True):
    """One line of a plot: its name, its path, and its values for the table behind it."""

    name: str
    path: str
    values: Sequence[Point]


class Plot(msgspec.Struct, frozen=True):
    """One plot.

    Attributes:
        top: the value at the upper edge.
        holes: where the broker was away, as (x, width).
        times: the moments below, Unix seconds.
        rows: the table: a moment, and one value a line.
    """

    title: str
    unit: str
    top: float
    lines: Sequence[PlotLine]
    holes: Sequence[tuple[float, float]]
    times: Sequence[float]
    rows: Sequence[tuple[float, Sequence[str]]]


def draw(
    title: str, unit: str, spans: Spans, now: float, named: Sequence[tuple[str, Sequence[Point]]]
) -> Plot:
    """Return the plot of one or two series, a value for each span."""
    over = spans.over(now)
    top = top_of([value for _, values in named for value in values if value is not None])
    start = int(now) // spans.length_s * spans.length_s - (len(over) - 1) * spans.length_s
    moments = [start + place * spans.length_s for place in range(len(over))]
    return Plot(
        title,
        unit,
        top,
        [PlotLine(name, path_of(values, top), values) for name, values in named],
        _holes(over),
        [moments[round(share * (len(moments) - 1) / 4)] for share in range(5)],
        _table(moments, [values for _, values in named]),
    )


def top_of(values: Sequence[float]) -> float:
    """Return the next of 1, 2, 5, 10 … that no value is above."""
    highest = max(values, default=0.0)
    power = 1.0
    while True:
        for step in (1, 2, 5):
            if step * power >= highest:
                return step * power
        power *= 10


def path_of(values: Sequence[Point], top: float) -> str:
    """Return the path of a line; it breaks off where there is no value."""
    step = WIDTH / max(1, len(values) - 1)
    placed = [(place * step, value) for place, value in enumerate(values)]
    runs = (list(run) for is_gap, run in groupby(placed, lambda point: point[1] is None) if not is_gap)
    # A point between two gaps is a line to itself, whose round ends show.
    drawn = (run * 2 if len(run) == 1 else run for run in runs)
    return "".join("M" + "L".join(_point(x, value, top) for x, value in run) for run in drawn)


def _point(x: float, value: Point, top: float) -> str:
    return f"{x:.1f} {HEIGHT - (value or 0.0) / top * HEIGHT:.1f}"


def _holes(over: Sequence[Span | None]) -> list[tuple[float, float]]:
    width = WIDTH / max(1, len(over))
    return [
        (round(place * width, 1), round(width, 1))
        for place, span in enumerate(over)
        if span is not None and span.away
    ]


def _table(moments: Sequence[float], series: Sequence[Sequence[Point]]) -> list[tuple[float, Sequence[str]]]:
    """Return every fifth or sixth moment with the highest value from there to the next."""
    step = 5 if len(moments) <= _HOUR_POINTS else 6
    return [
        (moments[place], [_highest(values[place : place + step]) for values in series])
        for place in range(0, len(moments), step)
    ]


_HOUR_POINTS: Final = 60


def _highest(values: Sequence[Point]) -> str:
    known = [value for value in values if value is not None]
    return number(round(max(known), 1)) if known else "not up"
