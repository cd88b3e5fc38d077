"""How things stand, in one sentence: what `tms-bridge status`, the API and the console say first.

`sayings` is pure: the state comes whole, with the time at which it was looked at, and nothing is asked or
measured here. It is one table, ROWS, read from the top: the first row that matches is the sentence, the next
three stand under it. "All is well" is the last row and says so only where no other matches: silence is not
well-being. Each row is told to a viewer of some sources only as far as it concerns them.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from tms_bridge.words.standing import RefusedCalls, SourceStanding, Standing

GIVEN_UP_AFTER_S: Final = 15
"""TMS's five retries, after 1, 2, 3, 4 and 5 seconds."""

_GIVEN_UP: Final = f"TMS gives each up after {GIVEN_UP_AFTER_S} s"

UNDER: Final = 3
"""How many more matches stand under the sentence."""

Mood = Literal["ok", "idle", "warn", "bad"]
About = Literal["", "calls", "outbox", "quarantine", "topology", "configuration"]
"""Where more is shown: the console's page of that name; empty where there is no more."""
Scope = frozenset[str] | None
"""The sources that the reader may see; None is all of them, and the bridge itself."""

TRIGGERS: Final = {"course_assignment": "course assignment changed", "class": "class changed"}

_DAY_S: Final = 86_400
_YEAR_S: Final = 365 * _DAY_S
_FLOOD_PER_S: Final = 10
_FLOOD_SPAN_S: Final = 600


class Saying(msgspec.Struct, frozen=True):
    """One sentence on how things stand.

    Attributes:
        kind: ok, idle (nothing to do), warn (look when there is time), bad (act now).
        one: the sentence.
        then: what to do, or what follows from it; may be empty.
        about: where more of it is shown.
    """

    kind: Mood
    one: str
    then: str = ""
    about: About = ""


def say(state: Standing, scope: Scope = None) -> Saying:
    """Return the one sentence."""
    return next(_matches(state, scope))


def sayings(state: Standing, scope: Scope = None) -> list[Saying]:
    """Return the sentence, and up to three that stand under it."""
    return [saying for saying, _ in zip(_matches(state, scope), range(1 + UNDER), strict=False)]


def _matches(state: Standing, scope: Scope) -> Iterator[Saying]:
    found = False
    for row, about in ROWS.items():
        for saying in row(state, scope):
            found = True
            yield msgspec.structs.replace(saying, about=about)
    if not found:
        yield _well(state, scope)


def _stopping(state: Standing, scope: Scope) -> Iterator[Saying]:
    if not state.stopping:
        return
    first = "."
    if scope is None and state.waiting and state.broker == "up":
        first = (
            f"; {_number(state.waiting, 'event is', 'events are')} being delivered first, for at most "
            f"{_span(state.drain_timeout_s)}."
        )
    yield Saying("idle", f"Shutting down: no new calls{first}", "Another replica takes the calls.")


def _broken(state: Standing, _: Scope) -> Iterator[Saying]:
    if state.broken:
        yield Saying(
            "bad",
            f"Stopped: the outbox is damaged. Calls get no answer, {_GIVEN_UP}.",
            "`tms-bridge outbox salvage` saves what is readable.",
        )


def _late(state: Standing, _: Scope) -> Iterator[Saying]:
    if state.late_s:
        yield Saying(
            "bad",
            f"Not taking events{_since(state.now - state.late_s, state)}: "
            f"the disk has not finished a write for {_span(state.late_s)}.",
            "Look at the volume of outbox.dir.",
        )


def _full(state: Standing, scope: Scope) -> Iterator[Saying]:
    if not state.full or not state.has_outbox:
        return
    calls = f"{_number(state.unavailable, 'call', 'calls')} got 503" if scope is None else "calls get 503"
    yield Saying(
        "bad",
        f"Outbox full{_since(state.full_since, state)}: {calls}. {_GIVEN_UP}, and it is lost.",
        "Bring the broker back, or raise outbox.max_bytes." if state.broker != "up" else state.full,
    )


def _away(state: Standing, scope: Scope) -> Iterator[Saying]:
    if state.broker != "down":
        return
    since = _since(state.broker_since, state)
    if not state.has_outbox:
        lost = f"calls get 503 and are lost after {GIVEN_UP_AFTER_S} s."
        yield Saying("bad", f"Broker away{since}, and there is no outbox: {lost}", "Bring RabbitMQ back.")
    else:
        yield Saying(
            "bad",
            f"Broker away{since}; {_kept(state, scope)}.",
            "Consumers get nothing until RabbitMQ is back.",
        )


def _blocked(state: Standing, scope: Scope) -> Iterator[Saying]:
    if state.broker == "blocked":
        since = _since(state.broker_since, state)
        kept = _kept(state, scope) if state.has_outbox else "calls get 503"
        yield Saying(
            "bad",
            f"RabbitMQ takes nothing{since} (its memory or disk alarm); {kept}.",
            "Free memory or disk there.",
        )


def _lane(state: Standing, scope: Scope) -> Iterator[Saying]:
    for lane in state.lanes if scope is None else ():
        yield Saying(
            "warn",
            f"A queue refuses {lane.routing_key}{_since(lane.since, state)}: "
            f"{_number(lane.waiting, 'event waits', 'events wait')}; other topics go on.",
            "It is probably full.",
        )


def _draining(state: Standing, scope: Scope) -> Iterator[Saying]:
    if state.draining_since is None or state.broker != "up" or not state.waiting:
        return
    gain_per_s = state.delivered_per_s - state.per_s
    left = f", about {_span(state.waiting / gain_per_s)} to go" if gain_per_s > 0 else ""
    events = _number(state.waiting, "event is", "events are") if scope is None else "what waited is"
    yield Saying("warn", f"Broker back{_since(state.draining_since, state)}; {events} being delivered{left}.")


def _unlisted(state: Standing, scope: Scope) -> Iterator[Saying]:
    for calls in _calls(state, scope, "unlisted"):
        yield Saying(
            "bad",
            f"{_refused(calls, state)}: right password, unlisted address {calls.address} ({calls.source}).",
            "TMS has moved, or the password has leaked: add the address to "
            f"sources.{calls.source}.allow_from, or replace the password.",
        )


def _credentials(state: Standing, scope: Scope) -> Iterator[Saying]:
    for calls in _calls(state, scope, "credentials"):
        trigger = TRIGGERS.get(calls.trigger, calls.trigger)
        yield Saying(
            "warn",
            f"{_refused(calls, state)}: wrong password ({calls.source}, {trigger}).",
            f"Replace {calls.header} in TMS with what "
            f"`tms-bridge tms-settings --source {calls.source} --reveal` prints.",
        )


def _near_miss(state: Standing, scope: Scope) -> Iterator[Saying]:
    for calls in _calls(state, scope, "source"):
        yield Saying(
            "warn",
            f'{_refused(calls, state)}: the URL says "{calls.asked}"; the source is "{calls.source}".',
            "Correct the URL in TMS.",
        )


def _swapped(state: Standing, scope: Scope) -> Iterator[Saying]:
    for name, source in _sources(state, scope):
        if source.swapped:
            kept = _number(source.swapped, "body", "bodies")
            yield Saying(
                "warn",
                f"{name}'s two webhooks have their URLs swapped: {kept} kept"
                f"{_since(source.swapped_since, state)}.",
                "Swap the two URLs in TMS, then replay.",
            )


def _kept_aside(state: Standing, scope: Scope) -> Iterator[Saying]:
    mine = [source for _, source in _sources(state, scope)]
    undecodable, held = kept_in(state, scope)
    parts = []
    if undecodable:
        parts.append(f"{_number(undecodable, 'body', 'bodies')} not understood")
    if held:
        parts.append(f"{_number(held, 'event', 'events')} held")
    if parts:
        since = min((s.kept_since for s in mine if s.kept_since is not None), default=None)
        first, *more = parts
        safe = "It is" if undecodable + held == 1 else "They are"
        yield Saying(
            "warn",
            f"{', '.join([first + _since(since, state), *more])}. "
            f"{safe} safe here for {state.max_age_days:g} days.",
            "TMS has given them up; `tms-bridge quarantine list` says why, then replay or release.",
        )


def _unroutable(state: Standing, scope: Scope) -> Iterator[Saying]:
    if state.unroutable and scope is None:
        topics = _number(state.unroutable_topics, "topic", "topics")
        events = _number(state.unroutable, "event waits", "events wait")
        yield Saying(
            "warn",
            f"No queue is bound to {topics}: {events} in tms.unroutable"
            f"{_since(state.unroutable_since, state)}.",
            "Bind a queue, then `tms-bridge unroutable replay`.",
        )


def _topology(state: Standing, scope: Scope) -> Iterator[Saying]:
    if state.topology_errors and scope is None:
        yield Saying("warn", f"RabbitMQ is not as configured: {'; '.join(state.topology_errors)}.")


def _reload(state: Standing, scope: Scope) -> Iterator[Saying]:
    if state.reload_refused_at is not None and scope is None:
        old = (
            f" of {_moment(state.configured_at, state)}" if state.configured_at is not None else " before it"
        )
        yield Saying(
            "warn",
            f"The configuration of {_moment(state.reload_refused_at, state)} was refused: "
            f"the one{old} is still in force.",
            state.reload_reason,
        )


def _flood(state: Standing, scope: Scope) -> Iterator[Saying]:
    if state.refusals <= _FLOOD_PER_S * _FLOOD_SPAN_S or scope is not None:
        return
    held_up = state.full or state.late_s or (state.broker != "up" and not state.has_outbox)
    most = f", most from {state.flooding}" if state.flooding else ""
    real = "" if held_up else " Real events are not held up."
    quick = f", 99 of 100 within {state.p99_ms:g} ms" if state.p99_ms is not None else ""
    yield Saying(
        "warn",
        f"{state.refusals:,} calls refused in the last 10 min{most}.{real}",
        f"{_number(state.taken, 'event was', 'events were')} taken{quick}.",
    )


def _half_silent(state: Standing, scope: Scope) -> Iterator[Saying]:
    for name, source in _sources(state, scope):
        for trigger in sorted(TRIGGERS.keys() - source.called) if source.called else ():
            words = TRIGGERS[trigger].capitalize()
            yield Saying("idle", f'{name}: "{words}" has never been called.', "Is it enabled in TMS?")


def _never(state: Standing, scope: Scope) -> Iterator[Saying]:
    if all(source.called is not None and not source.called for _, source in _sources(state, scope)):
        yield Saying(
            "idle",
            "Nothing has ever arrived. The bridge is ready and waits for the first call from TMS.",
            "`tms-bridge tms-settings` says what to put into TMS.",
        )


def _quiet(state: Standing, scope: Scope) -> Iterator[Saying]:
    last = _last(state, scope)
    if last is not None and last.last_event_at is not None and state.now - last.last_event_at > _DAY_S:
        yield Saying(
            "idle",
            f"Nothing is wrong here, and nothing came since {_moment(last.last_event_at, state)}.",
            "TMS sends nothing while a webhook is off.",
        )


def _well(state: Standing, scope: Scope) -> Saying:
    last = _last(state, scope)
    if last is None or last.last_event_at is None:
        return Saying("ok", "All is well.")
    took = f", delivered in {last.last_delivered_ms:g} ms" if last.last_delivered_ms is not None else ""
    return Saying("ok", f"All is well. Last event {_span(state.now - last.last_event_at)} ago{took}.")


ROWS: Final[Mapping[Callable[[Standing, Scope], Iterator[Saying]], About]] = {
    _stopping: "",
    _broken: "outbox",
    _late: "outbox",
    _full: "outbox",
    _away: "outbox",
    _blocked: "outbox",
    _lane: "outbox",
    _draining: "outbox",
    _unlisted: "calls",
    _credentials: "calls",
    _near_miss: "calls",
    _swapped: "quarantine",
    _kept_aside: "quarantine",
    _unroutable: "topology",
    _topology: "topology",
    _reload: "configuration",
    _flood: "calls",
    _half_silent: "",
    _never: "",
    _quiet: "",
}
"""The worst first, and where more of each is shown. What comes first is said, whatever else holds."""


def kept_in(state: Standing, scope: Scope = None) -> tuple[int, int]:
    """Return how many bodies are not understood, and how many events are held."""
    if scope is None and (state.undecodable or state.held):
        return state.undecodable, state.held
    mine = [source for _, source in _sources(state, scope)]
    return sum(source.undecodable for source in mine), sum(source.held for source in mine)


def _sources(state: Standing, scope: Scope) -> list[tuple[str, SourceStanding]]:
    return [(name, source) for name, source in state.sources.items() if scope is None or name in scope]


def _calls(state: Standing, scope: Scope, reason: str) -> list[RefusedCalls]:
    return [
        calls
        for calls in state.refused
        if calls.reason == reason and (scope is None or calls.source in scope)
    ]


def _last(state: Standing, scope: Scope) -> SourceStanding | None:
    """Return the source whose event was the last."""
    came = [source for _, source in _sources(state, scope) if source.last_event_at is not None]
    return max(came, key=lambda source: source.last_event_at or 0.0, default=None)


def _refused(calls: RefusedCalls, state: Standing) -> str:
    return f"{_number(calls.count, 'call', 'calls')} refused{_since(calls.since, state)}"


def _kept(state: Standing, scope: Scope) -> str:
    """Say what is safe, and how long the outbox holds."""
    if scope is not None:
        return "events are safe here"
    events = f"{_number(state.waiting, 'event', 'events')} safe"
    if state.room is None:
        return events
    text = f"{events}; room for {state.room:,} more"
    if state.per_s <= 0:
        return text
    left_s = state.room / state.per_s
    return f"{text}, {'more than a year' if left_s > _YEAR_S else 'about ' + _span(left_s)} at today's pace"


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _since(moment: float | None, state: Standing) -> str:
    return f" since {_moment(moment, state)}" if moment is not None else ""


def _moment(unix_s: float | None, state: Standing) -> str:
    """Write a moment in UTC: the time where it was today, the date with it where not."""
    then, now = datetime.fromtimestamp(unix_s or 0.0, UTC), datetime.fromtimestamp(state.now, UTC)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


_UNITS: Final = ((_DAY_S, "day", "days"), (3600, "h", "h"), (60, "min", "min"), (1, "s", "s"))


def _span(seconds: float) -> str:
    """Write a length of time in two units at most, as "1 h 27 min"; days stand alone from ten on."""
    left = max(round(seconds), 0)
    parts: list[str] = []
    for size, one, many in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
            if len(parts) == 2 or (size == _DAY_S and count >= 10):  # noqa: PLR2004 - as the docstring says
                break
        elif parts:
            break
    return " ".join(parts) or "0 s"
