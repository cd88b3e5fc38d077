"""A source and the outbox as cards: URLs, a lamp for each webhook, what waits and how long it holds. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from tms_bridge.admin.guard import Holder
from tms_bridge.calls import AnsweredCall, Calls, Hook
from tms_bridge.console.format import clock, counted, number, rate, size, span
from tms_bridge.settings.model import Settings, Source
from tms_bridge.words.calls import Tone
from tms_bridge.words.saying import kept_in
from tms_bridge.words.standing import Standing

TRIGGERS: Final[Mapping[str, str]] = {
    "course_assignment": "Course assignment changed",
    "class": "Class changed",
}
"""What TMS calls the trigger events."""

PATHS: Final[Mapping[str, str]] = {
    "course_assignment": "course-assignment-changed",
    "class": "class-changed",
}

MASK: Final = "••••••••"
"""Stands for every secret, whatever its length."""

_DAY_S: Final = 86_400.0


Facts = Sequence[tuple[str, str]]


class HookView(msgspec.Struct, frozen=True):
    """One webhook on a card."""

    trigger: str
    url: str
    tone: Tone
    lamp: str
    note: str


class SourceView(msgspec.Struct, frozen=True):
    """One card."""

    name: str
    hooks: Sequence[HookView]
    facts: Sequence[tuple[str, str]]


def card_of(name: str, source: Source, calls: Calls, base_url: str, now: float) -> SourceView:
    """Return the card of a source; `base_url` is where TMS reaches the bridge."""
    return SourceView(
        name,
        [
            _hook(title, f"{base_url}/webhooks/{name}/{PATHS[trigger]}", calls.hook(name, trigger), now)
            for trigger, title in TRIGGERS.items()
        ],
        [
            ("HttpHeaders", "; ".join(_headers(source))),
            ("Credentials", ", ".join(_credentials(name, source, calls, now))),
            ("TMS waits", f"{source.timeout_s:g} s for an answer"),
        ],
    )


def attack_of(calls: Calls, standing: Standing, now: float) -> Mapping[str, Facts] | None:
    """Return who calls in vain and what it costs, while more than ten calls a second are refused."""
    if calls.history.refused.total(int(now), _LATELY_S) <= _FLOOD_PER_S * _LATELY_S:
        return None
    rows = [row for row in calls.turned_away if now - row.call.at < _TEN_MINUTES_S]
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row.call.address if row.addresses == 1 else f"{row.addresses:,} others"] += row.count
    listed = sum(row.count for row in rows if row.call.listed and row.call.http_status >= _REFUSED)
    quick = f"; 99 of 100 within {span(standing.p99_ms / 1000)}" if standing.p99_ms is not None else ""
    return {
        "who": [
            (address, f"{counted(count, 'call')} refused") for address, count in counts.most_common(_CALLERS)
        ],
        "costs": [
            ("Refused", f"{counted(standing.refusals, 'call')} in the last 10 min"),
            ("Taken meanwhile", counted(standing.taken, "event") + quick),
            ("From listed addresses", f"{counted(listed, 'call')} refused" if listed else "none refused"),
        ],
    }


_LATELY_S: Final = 10
_FLOOD_PER_S: Final = 10
_TEN_MINUTES_S: Final = 600
_CALLERS: Final = 5
_REFUSED: Final = 400


def waits_of(standing: Standing, holder: Holder, now: float) -> Sequence[tuple[str, str]]:
    """Return what waits for somebody, as far as a holder may see it."""
    undecodable, held = kept_in(standing, holder.sources)
    quarantine = ("Quarantine", f"{undecodable:,} not understood, {held:,} held")
    broker = {"up": "connected", "blocked": "takes nothing just now", "down": "away"}[standing.broker]
    if not holder.sees_all:
        return [("Message bus", broker), quarantine]
    restart = ", ".join(f"`{key}`" for key in standing.restart_pending)
    return [
        quarantine,
        ("Unroutable", _unroutable(standing, now)),
        ("Refused by the broker", counted(standing.parked, "event") if standing.parked else "nothing"),
        ("Configuration", f"waits for a restart: {restart}" if restart else "nothing waits for a restart"),
    ]


def _unroutable(standing: Standing, now: float) -> str:
    if not standing.unroutable:
        return "nothing"
    since = f" since {clock(standing.unroutable_since, now)}" if standing.unroutable_since else ""
    topics = counted(standing.unroutable_topics, "topic")
    return f"{counted(standing.unroutable, 'event')} on {topics}{since}"


def _hook(title: str, url: str, hook: Hook, now: float) -> HookView:
    tone, lamp, note = _lamp(hook, now)
    return HookView(title, url, tone, lamp, note)


def _lamp(hook: Hook, now: float) -> tuple[Tone, str, str]:
    """Return how a webhook is: the last refusal first, since it wants somebody to act."""
    if hook.refused is not None:
        return _refused(hook.refused.call, hook.refused.count, hook.refused.first_at, now)
    if hook.last and now - hook.first < _DAY_S:
        last = f"Last {clock(hook.last, now)}." if hook.last > hook.first else "One event so far."
        return "ok", f"First event {clock(hook.first, now)}", last
    if hook.last:
        return "ok", "Events come", f"Last {clock(hook.last, now)}, first {clock(hook.first, now)}."
    if hook.looked:
        note = f"{clock(hook.looked, now)} from {hook.looked_from}. TMS itself has not called."
        return "warn", "Opened in a browser", note
    return "idle", "Never called", "Is the webhook set up and enabled in TMS?"


def _refused(call: AnsweredCall, count: int, since: float, now: float) -> tuple[Tone, str, str]:
    note = f"{count:,} times since {clock(since, now)}, last {clock(call.at, now)}."
    if count == 1:
        note = f"Once, at {clock(call.at, now)}."
    lamp = _LAMPS.get(call.outcome)
    if lamp is not None:
        return "bad", lamp(call), note
    return "warn", f"{call.http_status} {call.outcome.replace('_', ' ')}", note


def _not_understood(call: AnsweredCall) -> str:
    return "Swapped?" if "swapped" in call.detail else "422 not understood"


_LAMPS: Final[Mapping[str, Callable[[AnsweredCall], str]]] = {
    "unauthorized": lambda _call: "401 wrong password",
    "unlisted_address": lambda call: f"403 from {call.address}",
    "unlisted_address_valid_credentials": lambda call: f"403 from {call.address}",
    "quarantined": _not_understood,
}


def _headers(source: Source) -> Sequence[str]:
    """Return the lines for HttpHeaders, masked."""
    lines: dict[str, None] = {}
    for credential in source.credentials:
        if credential.basic is not None:
            lines[f"`Authorization=Basic {MASK}`"] = None
        for header in credential.headers or ():
            lines[f"`{header}={MASK}`"] = None
    return list(lines)


def _credentials(name: str, source: Source, calls: Calls, now: float) -> Sequence[str]:
    said = []
    for credential in source.credentials:
        used = calls.used(name, credential.name)
        when = f"used {span(now - used)} ago" if used else "never used"
        said.append(f"{credential.name}, {when}")
    return said


class Box(msgspec.Struct, frozen=True):
    """The card of the outbox."""

    tone: Tone
    word: str
    fill_percent: float
    fill_words: str
    facts: Sequence[tuple[str, str]]


def box_of(standing: Standing, settings: Settings, now: float) -> Box:
    """Return the card."""
    limit = settings.outbox.max_bytes if settings.outbox is not None else 0
    return Box(
        *_word(standing),
        round(100 * standing.stored_bytes / limit, 1) if limit else 0.0,
        f"{size(standing.stored_bytes)} of {size(limit)}" if limit else "no outbox on disk",
        [
            ("Waiting", f"{counted(standing.waiting, 'event')}, {size(standing.stored_bytes)}"),
            ("Oldest", _oldest(standing, now)),
            ("Taken", rate(standing.per_s)),
            ("Delivered", rate(standing.delivered_per_s)),
            ("Room", _room(standing, limit)),
            ("Disk", f"{size(standing.free_bytes)} free"),
            ("Broker", _broker(standing, now)),
            ("Blocked keys", ", ".join(f"`{lane.routing_key}`" for lane in standing.lanes) or "none"),
        ],
    )


def _word(standing: Standing) -> tuple[Tone, str]:
    if standing.broken or standing.full:
        return "bad", "Takes nothing"
    if standing.waiting:
        return "warn", f"{number(standing.waiting)} wait"
    return "ok", "Nothing waits"


def _oldest(standing: Standing, now: float) -> str:
    if standing.oldest is None:
        return "none"
    return f"{clock(standing.oldest, now)}, {span(now - standing.oldest)} ago"


def _room(standing: Standing, limit: int) -> str:
    if standing.room is None:
        return f"{size(limit - standing.stored_bytes)} of {size(limit)}" if limit else "no outbox on disk"
    room = f"for about {counted(standing.room, 'more event')}"
    return (
        f"{room}; full in {span(standing.room / standing.per_s)} at today's pace" if standing.per_s else room
    )


def _broker(standing: Standing, now: float) -> str:
    word = {"up": "connected", "blocked": "blocked by an alarm", "down": "away"}[standing.broker]
    since = f" since {clock(standing.broker_since, now)}" if standing.broker_since is not None else ""
    error = f"; last error: {standing.broker_error}" if standing.broker_error else ""
    return f"{word}{since}{error}"
