"""The pages that everybody may see: overview, calls, one call, one event, plots, keys. Each answers a GET."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from tms_bridge.admin.calls import NARROWED, Filters, Wanted, seen_by
from tms_bridge.admin.guard import HOLDER, Holder
from tms_bridge.calls import CallRow
from tms_bridge.console.access import audit, form_of
from tms_bridge.console.cards import attack_of, box_of, card_of, waits_of
from tms_bridge.console.format import counted, number
from tms_bridge.console.frame import BOARD, FRAME, Board
from tms_bridge.console.plots import Point, draw
from tms_bridge.console.views import RowView, entity_of, happened, names_of, story_of, view_of
from tms_bridge.errors import InvalidQuery
from tms_bridge.history import Span, Spans
from tms_bridge.message import Message

NEWEST: Final = 20
_KEPT: Final = frozenset({"quarantined", "held"})
PAGE: Final = 50
_KEYS: Final = (
    ("g then o", "Overview"),
    ("g then c", "Calls"),
    ("g then b", "Outbox"),
    ("g then q", "Quarantine"),
    ("g then t", "Topology"),
    ("g then p", "Plots"),
    ("/", "To the first filter"),
    ("j, k", "Next, previous row"),
    ("Enter", "Open the row"),
    ("p", "Pause, go on"),
    (".", "Show new calls"),
    ("?", "This page"),
)


def wanted_by(board: Board, holder: Holder, now: float, filters: Filters | None = None) -> Wanted:
    """Return what tells the rows that a holder may see, and wants."""
    theirs = seen_by(holder, board.calls, now)
    if filters is None or not filters.query:
        return theirs
    return lambda row: theirs(row) and filters.fits(row)


async def overview(request: web.Request) -> web.StreamResponse:
    """Show how things stand, each source, what waits, and the newest calls."""
    board, holder, now = request.app[BOARD], request[HOLDER], time.time()
    settings, standing = board.settings(), board.standing()
    rows = board.calls.select(wanted_by(board, holder, now), NEWEST)
    parts = {
        "title": "Overview",
        "view": "overview",
        "first_steps": all(not board.calls.hook(name, trigger).last for name, trigger in board.calls.hooks),
        "sources": [
            card_of(name, source, board.calls, settings.http.url or "https://YOUR-BRIDGE", now)
            for name, source in settings.sources.items()
            if holder.may_see(name)
        ],
        "box": box_of(standing, settings, now) if holder.sees_all else None,
        "waits": waits_of(standing, holder, now),
        "rows": views_of(board, rows),
    }
    return request.app[FRAME].page(request, "overview.html", parts)


async def calls(request: web.Request) -> web.StreamResponse:
    """List the calls, narrowed to what is asked for."""
    board, holder, now = request.app[BOARD], request[HOLDER], time.time()
    filters, error = _filters(request)
    wanted = wanted_by(board, holder, now, filters)
    before = request.query.get("before", "")
    found = board.calls.select(wanted, PAGE + 1, int(before) if before.isdecimal() else None)
    rows = found[:PAGE]
    older = urlencode({**filters.query, "before": str(rows[-1].number)}) if len(found) > PAGE else ""
    parts = {
        "title": "Calls",
        "view": "" if before or error else "calls",
        "query": urlencode(filters.query),
        "counted": _counted(board, wanted_by(board, holder, now)),
        "attack": attack_of(board.calls, board.standing(), now) if holder.sees_all else None,
        "filters": filters,
        "filter_error": error,
        "source_names": _source_names(board, holder),
        "outcomes": [{"value": value, "label": label} for value, (label, _) in NARROWED.items()],
        "rows": views_of(board, rows),
        "older": f"/calls?{older}" if older else "",
    }
    return request.app[FRAME].page(request, "calls.html", parts)


async def call(request: web.Request) -> web.StreamResponse:
    """Show one call that brought no event."""
    board, holder, now = request.app[BOARD], request[HOLDER], time.time()
    row = board.calls.find(request.match_info["id"])
    if row is None or not seen_by(holder, board.calls, now)(row):
        raise web.HTTPNotFound
    view = view_of(row, board.settings().sources)
    is_kept = holder.is_operator and row.call.outcome in _KEPT
    parts = {
        "title": view.source or "a call",
        "kept": f"/quarantine/{row.call.id}" if is_kept else "",
        "heading": f"{view.source}, {view.trigger}" if view.source else view.asked,
        "row": view,
        "happened": happened(row, now),
        "names": names_of(row),
        "alike": "/calls?" + urlencode({"address": row.call.address}),
    }
    return request.app[FRAME].page(request, "call.html", parts)


async def event(request: web.Request) -> web.StreamResponse:
    """Show the story of one event."""
    return event_page(request, None)


def event_page(request: web.Request, message: Mapping[str, object] | None) -> web.StreamResponse:
    """Return the page of one event, with its message where that was opened."""
    board, holder, now = request.app[BOARD], request[HOLDER], time.time()
    rows = board.calls.of_event(request.match_info["id"])
    if not rows or not holder.may_see(rows[0].call.source):
        raise web.HTTPNotFound
    first = rows[0]
    view = view_of(first, board.settings().sources)
    sent = board.calls.messages.find(first.call.id)
    heading = f"{entity_of(first)}: {first.call.status.replace('_', ' ')}"
    parts = {
        "title": "One event",
        "heading": f"{heading[:1].upper()}{heading[1:]}",
        "mend": _mend(first) if holder.is_operator else None,
        "row": view,
        "state": first.fate.state if first.fate is not None else "",
        "story": story_of(rows, now),
        "names": names_of(first, *rows[1:], message=sent),
        "alike": "/calls?" + urlencode({"entity": f"{first.call.trigger}/{first.call.entity}"}),
        "message": message,
        "may_open": holder.is_operator and sent is not None,
        "why_not": _why_not(first, holder),
    }
    return request.app[FRAME].page(request, "event.html", parts)


def _why_not(row: CallRow, holder: Holder) -> str:
    """Say why the message of an event cannot be opened."""
    if not holder.is_operator:
        return "It may hold personal data: an operator can open it."
    if row.fate is None or not row.fate.confirmed:
        return "It can be opened here once RabbitMQ has it."
    return "It is not kept here any more; the queues have it."


def _mend(row: CallRow) -> tuple[str, str] | None:
    """Return where an operator mends what keeps an event, and in which words; None: nothing does."""
    state = row.fate.state if row.fate is not None else ""
    if state == "unroutable":
        return (
            f"/topology/replay?{urlencode({'key': row.call.routing_key})}",
            "Replay what waits on this key…",
        )
    return ("/outbox", "Retry it or drop it") if state == "refused" else None


async def open_message(request: web.Request) -> web.StreamResponse:
    """Show the story of one event with its message as a consumer gets it."""
    await form_of(request)
    message = request.app[BOARD].calls.messages.find(request.match_info["id"])
    if message is None:
        raise web.HTTPNotFound(text="The message is no longer kept here; the queues have it.")
    audit(request, "show", message.id)
    return event_page(request, _opened(message))


def _opened(message: Message) -> Mapping[str, object]:
    """Return a message for people: its properties, and its body with the lines laid out."""
    facts = [
        ("message_id", f"`{message.id}`"),
        ("routing key", f"`{message.routing_key}`"),
        ("tms-digest", f"`{message.digest}`"),
        ("traceparent", f"`{message.traceparent}`"),
    ]
    text = msgspec.json.format(message.body, indent=2).decode()
    return {"facts": facts, "text": text, "length": len(message.body)}


async def plots(request: web.Request) -> web.StreamResponse:
    """Show the last hour or day."""
    board, now = request.app[BOARD], time.time()
    chosen = "day" if request.query.get("span") == "day" else "hour"
    spans = board.calls.history.day if chosen == "day" else board.calls.history.hour
    over = spans.over(now)
    parts = {
        "title": "Plots",
        "chosen": chosen,
        "plots": _plots(spans, over, now, "in 10 minutes" if chosen == "day" else "a minute"),
        "refusals": _refusals(over),
    }
    return request.app[FRAME].page(request, "plots.html", parts)


async def keys(request: web.Request) -> web.StreamResponse:
    """Show the single keys."""
    off = request.query.get("keys", request.cookies.get("keys", "on")) == "off"
    parts = {"title": "Keys", "keys": [(f"`{key}`", does) for key, does in _KEYS], "keys_off": off}
    return request.app[FRAME].page(request, "keys.html", parts)


def _filters(request: web.Request) -> tuple[Filters, str]:
    """Return what is asked for; where it cannot be, everything, and why."""
    try:
        return Filters(request.query), ""
    except InvalidQuery as error:
        return Filters({}), str(error)


def views_of(board: Board, rows: Sequence[CallRow]) -> list[RowView]:
    """Return rows as they are shown."""
    sources = board.settings().sources
    return [view_of(row, sources) for row in rows]


def _plots(spans: Spans, over: Sequence[Span | None], now: float, per: str) -> list[object]:
    def series(value: Callable[[Span], Point]) -> list[Point]:
        return [None if span is None else value(span) for span in over]

    taken, delivered = series(lambda span: span.taken), series(lambda span: span.delivered)
    half, most = series(lambda span: span.percentile_ms(0.5)), series(lambda span: span.percentile_ms(0.99))
    refused = series(lambda span: sum(span.refused.values()))
    return [
        draw(
            "Taken and delivered", f"events {per}", spans, now, [("taken", taken), ("delivered", delivered)]
        ),
        draw(
            "Waiting in the outbox",
            "events, the most",
            spans,
            now,
            [("waiting", series(lambda span: span.depth))],
        ),
        draw("Answered within", "milliseconds", spans, now, [("half of them", half), ("99 of 100", most)]),
        draw("Refused", f"calls {per}", spans, now, [("refused", refused)]),
    ]


def _refusals(over: Sequence[Span | None]) -> list[dict[str, object]]:
    outcomes = sorted({outcome for span in over if span is not None for outcome in span.refused})
    return [
        _refusal(outcome, [span.refused.get(outcome, 0) if span else 0 for span in over])
        for outcome in outcomes
    ]


def _refusal(outcome: str, counts: Sequence[int]) -> dict[str, object]:
    highest = max(counts)
    return {
        "outcome": outcome,
        "name": NARROWED[outcome][0] if outcome in NARROWED else outcome.replace("_", " "),
        "count": sum(counts),
        "bars": [round(10 * count / highest, 1) if highest else 0 for count in counts],
    }


def _counted(board: Board, wanted: Wanted) -> str:
    rows = [row for row in board.calls if wanted(row)]
    total = counted(sum(row.count for row in rows), "call")
    return f"{total} in {counted(len(rows), 'row')}. The last {number(board.calls.max_rows)} rows are kept."


def _source_names(board: Board, holder: Holder) -> list[dict[str, str]]:
    names = [name for name in board.settings().sources if holder.may_see(name)]
    choices = [("", "all"), *((name, name) for name in names), ("-", "no such source")]
    return [{"value": value, "label": label} for value, label in choices]
