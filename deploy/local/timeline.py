"""Draws the course of a run as SVG: curves over time, and what was wrong meanwhile as bands behind them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

WIDTH: Final = 1000
LEFT: Final = 140
RIGHT: Final = 20
PANEL: Final = 92
GAP: Final = 30
LANE: Final = 15
TOP: Final = 46
MARKS: Final = 15

Point = tuple[float, float]


class Panel(NamedTuple):
    """One curve, over the seconds from the start."""

    title: str
    colour: str
    points: Sequence[Point]


class Band(NamedTuple):
    """What was wrong for a while, in seconds from the start; all of one name share a lane."""

    name: str
    began: float
    ended: float


def draw(title: str, seconds: float, panels: Sequence[Panel], bands: Sequence[Band]) -> str:
    """Return the picture."""
    names = list(dict.fromkeys(band.name for band in sorted(bands, key=lambda band: band.began)))
    scale = (WIDTH - LEFT - RIGHT) / max(1.0, seconds)
    lanes_top = TOP + len(panels) * (PANEL + GAP)
    height = lanes_top + len(names) * LANE + 34
    parts = [_head(height, title)]
    parts += _bands(bands, names, scale, lanes_top)
    for number, panel in enumerate(panels):
        parts += _panel(panel, TOP + number * (PANEL + GAP), scale)
    parts += _axis(seconds, scale, height - 20)
    return "\n".join([*parts, "</svg>\n"])


def rate(moments: Iterable[float], seconds: float) -> list[Point]:
    """Count moments by the second in which they lie."""
    counts = Counter(int(moment) for moment in moments)
    return [(second + 0.5, counts[second]) for second in range(int(seconds) + 1)]


def _head(height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>'
    )


def _bands(bands: Sequence[Band], names: Sequence[str], scale: float, lanes_top: int) -> list[str]:
    """Draw each band behind the curves, and in the lane of its name below them."""
    parts = []
    for band in bands:
        x, width = LEFT + band.began * scale, max(1.5, (band.ended - band.began) * scale)
        lane = lanes_top + names.index(band.name) * LANE
        across = f'<rect x="{x:.1f}" width="{width:.1f}" fill="#cf222e"'
        parts.append(f'{across} y="{TOP}" height="{lanes_top - TOP}" fill-opacity="0.07"/>')
        parts.append(f'{across} y="{lane}" height="{LANE - 4}" fill-opacity="0.65"/>')
    for number, name in enumerate(names):
        y = lanes_top + number * LANE
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y - 2}" y2="{y - 2}" stroke="#eaeef2"/>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 9}" text-anchor="end" fill="#57606a" font-size="10">'
            f"{escape(name)}</text>"
        )
    return parts


def _panel(panel: Panel, top: int, scale: float) -> list[str]:
    most = max((value for _, value in panel.points), default=0.0) or 1.0
    points = " ".join(
        f"{LEFT + x * scale:.1f},{top + PANEL - value / most * PANEL:.1f}" for x, value in panel.points
    )
    return [
        f'<text x="{LEFT}" y="{top - 5}" fill="{panel.colour}">{escape(panel.title)}</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top + PANEL}" y2="{top + PANEL}" stroke="#8c959f"/>',
        f'<text x="{LEFT - 6}" y="{top + 9}" text-anchor="end">{most:,.0f}</text>',
        f'<text x="{LEFT - 6}" y="{top + PANEL}" text-anchor="end">0</text>',
        f'<polyline points="{points}" fill="none" stroke="{panel.colour}" stroke-width="1.3"/>',
    ]


def _axis(seconds: float, scale: float, y: int) -> list[str]:
    step = next((step for step in (5, 10, 30, 60, 120) if seconds / step <= MARKS), 300)
    return [
        f'<text x="{LEFT + at * scale:.1f}" y="{y + 12}" text-anchor="middle" fill="#57606a">{at} s</text>'
        for at in range(0, int(seconds) + 1, step)
    ]
