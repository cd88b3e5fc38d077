"""How moments, spans of time, numbers and texts are shown; pure, and the same for every page."""

import re
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

GLYPHS: Final = {"ok": "●", "warn": "▲", "bad": "■", "held": "◆", "idle": "○"}
"""A sign for each tone, so that no tone is told by its colour alone."""

_MARKED: Final = re.compile(r"`([^`]*)`")
_UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_YEAR_S: Final = 365 * 86_400
_SPANS: Final = ((86_400, "day", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def iso(moment: float) -> str:
    """Return a moment as machines read it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def clock(moment: float, now: float) -> str:
    """Return a moment as people read it: the time today, with its date on other days; always UTC."""
    when, today = datetime.fromtimestamp(moment, UTC), datetime.fromtimestamp(now, UTC)
    return when.strftime("%H:%M:%S" if when.date() == today.date() else "%Y-%m-%d %H:%M")


def exact(moment: float, now: float) -> str:
    """Return a moment to the millisecond, with its date on other days."""
    return clock(moment, now) + iso(moment)[-5:-1] if clock(moment, now).count(":") > 1 else iso(moment)


def span(seconds: float) -> str:
    """Say a span of time in at most two units."""
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds > _YEAR_S:
        return "more than a year"
    whole = round(seconds)
    for size, unit, smaller, small_unit in _SPANS:
        if whole >= size:
            count, rest = whole // size, whole % size // smaller
            name = f"{unit}s" if unit == "day" and count > 1 else unit
            return f"{count} {name} {rest} {small_unit}" if rest else f"{count} {name}"
    return f"{whole} s"


def number(value: float) -> str:
    """Return a number with commas at the thousands."""
    return f"{int(value) if value == int(value) else value:,}"


def size(count: int) -> str:
    """Say how many bytes."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:,} bytes"


def rate(per_s: float) -> str:
    """Say how often something comes, in whole numbers where it comes seldom."""
    if per_s < 1:
        return f"{round(per_s * 60)} a minute"
    return f"{per_s:,.0f} a second"


def counted(count: int, one: str, many: str = "") -> str:
    """Say how many of something there are."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def marked(text: str) -> Markup:
    """Return a text of ours as HTML, with what stands between back-ticks as code."""
    parts = _MARKED.split(text)
    coded = Markup("<code><bdi>{}</bdi></code>")
    return Markup("").join(
        coded.format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def escaped(text: str, limit: int = 200) -> str:
    """Return what somebody sent, cut at `limit`, with characters that do not print as escapes."""
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown = "".join(
        char if char.isprintable() and char not in _DIRECTIONS else f"\\u{ord(char):04x}"
        for char in text[:limit]
    )
    return f"{shown} and {len(text) - limit:,} more" if len(text) > limit else shown


_DIRECTIONS: Final = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that would turn the order of what stands around them."""
