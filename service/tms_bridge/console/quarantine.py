"""The pages on which an operator looks at a quarantined body, mends its reading, replays or drops it.

A body is shown only in the answer to a POST that asks for it, which is written to the audit log.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web
from yarl import URL

from tms_bridge.calls import Calls
from tms_bridge.console.access import audit, form_of
from tms_bridge.console.cards import TRIGGERS
from tms_bridge.console.format import clock, counted, escaped, size, span
from tms_bridge.console.frame import BOARD, FRAME, Board
from tms_bridge.console.views import BodyReading, read
from tms_bridge.outbox.operators import Operators
from tms_bridge.outbox.rows import QUARANTINE, Row, State
from tms_bridge.words.calls import Tone

MOST: Final = 200
"""How many rows the page lists."""

_FIELDS: Final = ("id", "status")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A quarantined row as it is shown."""

    id: str
    at: float
    tone: Tone
    word: str
    source: str
    trigger: str
    why: str
    seen: int
    size: int
    held: bool
    until: str


async def listed(request: web.Request) -> web.StreamResponse:
    """List what was not understood and what is held."""
    board, operators, now = request.app[BOARD], operators_of(request), time.time()
    state = request.query.get("state", "")
    states = [one for one in QUARANTINE if state in ("", str(one))] or QUARANTINE
    rows = await operators.rows(states, limit=MOST)
    items = [_item(row, board, now) for row in reversed(rows)]
    parts = {
        "title": "Quarantine",
        "state": state,
        "summary": await _summary(board, operators, rows, now),
        "rows": items,
        "groups": list(_groups(items)),
        "notice": notice_of(request),
    }
    return request.app[FRAME].page(request, "quarantine.html", parts)


async def shown(request: web.Request) -> web.StreamResponse:
    """Show one row without its body."""
    return await _page(request, await _row(request))


async def open_body(request: web.Request) -> web.StreamResponse:
    """Show one row with its body."""
    await form_of(request)
    row = await _row(request)
    audit(request, "show", row.id)
    return await _page(request, row, with_body=True)


async def try_pointers(request: web.Request) -> web.StreamResponse:
    """Show how a body would be read with other pointers; changes and sends nothing."""
    form = await form_of(request)
    row = await _row(request)
    audit(request, "try", row.id)
    return await _page(request, row, tried={field: form.get(field, "") for field in _FIELDS}, with_body=True)


async def replay(request: web.Request) -> web.StreamResponse:
    """Read a body once more and send its event; with those that failed for the same reason, if asked."""
    form = await form_of(request)
    operators, row = operators_of(request), await _row(request)
    rows = [row]
    if form.get("alike"):
        kept = await operators.rows([State.UNDECODABLE], limit=MOST)
        rows += [other for other in kept if other.id != row.id and _alike(other, row)]
    for one in rows:
        await operators.replay(one.id, form.get("as", ""))
        audit(request, "replay", one.id)
    raise _back("replay")


async def release(request: web.Request) -> web.StreamResponse:
    """Send a held event."""
    await form_of(request)
    row = await operators_of(request).release(request.match_info["id"])
    audit(request, "release", row.id)
    raise _back("release")


async def drop(request: web.Request) -> web.StreamResponse:
    """Forget a row for good."""
    form = await form_of(request)
    why = form.get("why", "").strip()
    if not why or not form.get("sure"):
        raise web.HTTPBadRequest(text="Say why, and tick the box.")
    row = await operators_of(request).drop(request.match_info["id"], QUARANTINE)
    audit(request, "drop", row.id, why)
    raise _back("drop")


_NOTICES: Final = {
    "retry": "It is sent again.",
    "replay": "Replayed: it is on its way to the bus.",
    "release": "Released: it is on its way to the bus.",
    "drop": "Dropped.",
    "rerouted": "Replayed: each is in a queue now, and has left tms.unroutable.",
    "came-back": "Some still have no queue, and wait as before. Bind one, then replay again.",
    "none-waited": "None of this topic waits in tms.unroutable any more.",
}


def notice_of(request: web.Request) -> str:
    """Return what was done a moment ago; words of ours alone, since an address can be made by anybody."""
    return _NOTICES.get(request.query.get("done", ""), "")


def operators_of(request: web.Request) -> Operators:
    """Return what may be done to the rows.

    Raises:
        HTTPNotFound: nothing is kept here.
    """
    operators = request.app[BOARD].operators
    if operators is None:
        raise web.HTTPNotFound(text="This bridge runs without an outbox on disk; nothing is kept here.")
    return operators


async def _row(request: web.Request) -> Row:
    return await operators_of(request).show(request.match_info["id"], QUARANTINE)


async def _page(
    request: web.Request, row: Row, *, tried: Mapping[str, str] | None = None, with_body: bool = False
) -> web.StreamResponse:
    board, now = request.app[BOARD], time.time()
    item = _item(row, board, now)
    reading = _reading(board, row, row.trigger, tried or {}, is_open=with_body)
    kept = await operators_of(request).rows([State.UNDECODABLE], limit=MOST)
    alike = sum(1 for other in kept if other.id != row.id and _alike(other, row))
    parts = {
        "title": "Quarantined body",
        "row": item,
        "came": _came(row, board.calls, now),
        "body": _text(row) if with_body else None,
        "reading": reading,
        "tried": tried or dict.fromkeys(_FIELDS, ""),
        "alike": counted(alike, "other") if alike else "",
        "other": _other(board, row),
    }
    return request.app[FRAME].page(request, "quarantine-item.html", parts)


def _item(row: Row, board: Board, now: float) -> Item:
    held = row.state is State.HELD
    at = row.received_at_us / 1_000_000
    until = at + timedelta(days=board.settings().quarantine.max_age_days).total_seconds()
    return Item(
        id=row.id,
        at=at,
        tone="held" if held else "warn",
        word="Held" if held else "Not understood",
        source=row.source,
        trigger=TRIGGERS.get(row.trigger, row.trigger).lower(),
        why=escaped(row.why, 500),
        seen=row.seen,
        size=row.bytes,
        held=held,
        until=f"Kept until {clock(until, now)}",
    )


def _came(row: Row, calls: Calls, now: float) -> list[tuple[str, str]]:
    call = next((one.call for one in calls if one.call.id == row.id), None)
    facts = [
        ("Came", f"{clock(row.received_at_us / 1_000_000, now)}, {counted(row.seen, 'call')}"),
        ("Id", f"`{row.id}`"),
        ("Digest", f"`{row.digest}`"),
    ]
    if call is not None:
        facts.insert(1, ("From", f"`{call.address}`; credential {call.credential or 'none'}"))
    return facts


def _reading(board: Board, row: Row, trigger: str, tried: Mapping[str, str], *, is_open: bool) -> BodyReading:
    source = board.settings().sources.get(row.source)
    if source is None:
        says = f'Its source "{row.source}" is not configured any more.'
        return BodyReading("warn", "Not readable", says, (), (), ())
    at = datetime.fromtimestamp(row.received_at_us / 1_000_000, UTC)
    return read(_raw(row), row.source, source, trigger, at, tried=tried, is_open=is_open)


def _other(board: Board, row: Row) -> dict[str, object]:
    """Return what a body would be as the other trigger's event."""
    trigger = next(one for one in TRIGGERS if one != row.trigger)
    reading = _reading(board, row, trigger, {}, is_open=False)
    name = TRIGGERS[trigger]
    return {
        "trigger": trigger,
        "name": name,
        "possible": reading.tone == "ok",
        "says": f"As {name}: {reading.says}",
    }


def _alike(one: Row, other: Row) -> bool:
    return (one.source, one.trigger, one.why) == (other.source, other.trigger, other.why)


def _groups(items: Sequence[Item]) -> list[dict[str, object]]:
    """Return the reasons that several bodies share."""
    counts = Counter((item.source, item.trigger, item.why) for item in items if not item.held)
    first = {(item.source, item.trigger, item.why): item.id for item in items}
    return [
        {"source": key[0], "trigger": key[1], "why": key[2], "count": count, "id": first[key]}
        for key, count in counts.items()
        if count > 1
    ]


async def _summary(board: Board, operators: Operators, rows: Sequence[Row], now: float) -> str:
    stats = await operators.status()
    limits = board.settings().quarantine
    oldest = f"; oldest {span(now - rows[0].received_at_us / 1_000_000)}" if rows else ""
    stored = f"{size(stats.undecodable_bytes)} of {size(limits.max_bytes)}"
    return f"{stored}{oldest}; kept for {limits.max_age_days:g} days."


def _raw(row: Row) -> bytes:
    return b"" if row.body is msgspec.UNSET else row.body


def _text(row: Row) -> str:
    """Return a body for people: JSON with its lines laid out, anything else as it is."""
    raw = _raw(row)
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw.decode(errors="backslashreplace")


def _back(done: str) -> web.HTTPSeeOther:
    return web.HTTPSeeOther(str(URL("/quarantine").with_query(done=done)))
