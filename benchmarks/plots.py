"""Plots as SVG, drawn by hand: bars with their extremes, and curves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from samples import Spread

_WIDTH = 720
_ROW = 34
_LABEL = 230
_RIGHT = 150
_OURS, _THEIRS, _INK, _GRID = "#0b6e99", "#9aa5b1", "#1f2933", "#e4e7eb"
_PLOT_HEIGHT, _MARGIN_LEFT, _MARGIN = 260, 70, 44


@dataclass(frozen=True)
class Bar:
    """One receiver's measurements."""

    label: str
    spread: Spread
    ours: bool


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Draw a bar for each median, with a line from the least to the most."""
    most = max(row.spread.most for row in rows) or 1.0
    scale = (_WIDTH - _LABEL - _RIGHT) / most
    parts = [_text(12, 24, title, heading=True)]
    for number, row in enumerate(rows):
        parts += _bar(row, 44 + number * _ROW, scale, unit)
    return _svg(_WIDTH, 56 + len(rows) * _ROW, parts)


def _bar(row: Bar, top: int, scale: float, unit: str) -> list[str]:
    width = row.spread.median * scale
    least, most = (_LABEL + value * scale for value in (row.spread.least, row.spread.most))
    middle = top + 11
    fill = _OURS if row.ours else _THEIRS
    value = f"{row.spread.median:,.0f}" if row.spread.median >= 100 else f"{row.spread.median:,.1f}"  # noqa: PLR2004 - three digits
    return [
        _text(_LABEL - 8, middle + 4, row.label, anchor="end"),
        f'<rect x="{_LABEL}" y="{top}" width="{width:.1f}" height="22" fill="{fill}"/>',
        f'<path d="M{least:.1f} {middle}H{most:.1f}" stroke="{_INK}" stroke-width="1.5"/>',
        _text(max(most, _LABEL + width) + 8, middle + 4, f"{value} {unit}"),
    ]


def curve(title: str, unit: str, points: Sequence[tuple[float, float]]) -> str:
    """Draw cost over a quantity, whose axis is logarithmic where it spans decades."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    positions = _positions(xs)
    top = max(ys) * 1.15 or 1.0
    height, width = _PLOT_HEIGHT, _WIDTH - _MARGIN_LEFT - _MARGIN
    places = [
        (_MARGIN_LEFT + place * width, _MARGIN + height * (1 - y / top))
        for place, y in zip(positions, ys, strict=True)
    ]
    parts = [_text(12, 24, f"{title} ({unit})", heading=True), *_axis(top, width)]
    parts.append(
        f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in places)}" fill="none" stroke="{_OURS}" '
        'stroke-width="2"/>'
    )
    for (x, y), quantity, value in zip(places, xs, ys, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_OURS}"/>')
        parts.append(_text(x, y - 10, f"{value:,.0f}", anchor="middle"))
        parts.append(_text(x, _MARGIN + height + 18, f"{quantity:,.0f}", anchor="middle"))
    return _svg(_WIDTH, _MARGIN + height + 32, parts)


def _positions(xs: Sequence[float]) -> list[float]:
    """Place quantities between 0 and 1."""
    scaled = [math.log10(x + 1) for x in xs] if max(xs) > 20 * max(1.0, min(xs)) else list(xs)
    span = scaled[-1] - scaled[0] or 1.0
    return [(value - scaled[0]) / span for value in scaled]


def _axis(top: float, width: int) -> list[str]:
    parts: list[str] = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _MARGIN + _PLOT_HEIGHT * (1 - share)
        parts.append(f'<path d="M{_MARGIN_LEFT} {y:.1f}h{width}" stroke="{_GRID}"/>')
        parts.append(_text(_MARGIN_LEFT - 10, y + 4, f"{top * share:,.0f}", anchor="end"))
    return parts


def _text(x: float, y: float, text: str, *, heading: bool = False, anchor: str = "start") -> str:
    size, weight = (15, "bold") if heading else (12, "normal")
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{_INK}">{escape(text)}</text>'
    )


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif">\n'
        '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
