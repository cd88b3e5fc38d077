"""Operations on the rows of outbox and quarantine: look, send again, drop. What is dropped is logged."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from aiohttp import StreamReader, web

from tms_bridge.admin.context import CONTEXT, Context
from tms_bridge.errors import BodyTooLarge, InvalidQuery, RowMissing
from tms_bridge.outbox.records import MAX_SEQ, OUTBOX, QUARANTINE, Exported, Records, exported
from tms_bridge.outbox.rows import State

MAX_PAGE: Final = 1000
_PAGE: Final = 100
_IMPORT_PAGE: Final = 500
_MAX_LINE: Final = 32 * 1024 * 1024


class Page(msgspec.Struct, frozen=True):
    """Rows in order of seq; ask for more with `after` = the last one's seq."""

    rows: list[Exported]


class Done(msgspec.Struct, frozen=True):
    """What was done to a row."""

    id: str
    done: str


class Imported(msgspec.Struct, frozen=True):
    """How many rows came, and how many were there already."""

    imported: int
    already_here: int


async def list_outbox(request: web.Request) -> Page:
    """List events that wait or were refused, oldest first."""
    return await _list(request, OUTBOX)


async def list_quarantine(request: web.Request) -> Page:
    """List bodies in quarantine and events that are held, oldest first."""
    return await _list(request, QUARANTINE)


async def show_event(request: web.Request) -> Exported:
    """Show an event with its body."""
    return exported(await _records(request).show(_id(request), OUTBOX))


async def show_quarantined(request: web.Request) -> Exported:
    """Show a quarantined or held row with its body."""
    return exported(await _records(request).show(_id(request), QUARANTINE))


async def retry(request: web.Request) -> Done:
    """Send a refused event again, from the tail."""
    await _records(request).retry(_id(request))
    return _done(request, "retried")


async def release(request: web.Request) -> Done:
    """Send a held event, from the tail."""
    await _records(request).release(_id(request))
    return _done(request, "released")


async def replay(request: web.Request) -> Done:
    """Understand a quarantined body once more, and send the event that it is now; a held one is released."""
    records = _records(request)
    row = await records.show(_id(request), QUARANTINE)
    if row.state is State.HELD:
        return await release(request)
    await records.replay(row.message.id, _context(request).reread(row.message))
    return _done(request, "replayed")


async def drop_event(request: web.Request) -> Done:
    """Forget an event for good."""
    await _records(request).drop(_id(request))
    return _done(request, "dropped")


async def drop_quarantined(request: web.Request) -> Done:
    """Forget a quarantined or held row for good."""
    await _records(request).drop_quarantined(_id(request))
    return _done(request, "dropped")


async def import_events(request: web.Request) -> Imported:
    """Append the lines of an export whose ids are not here."""
    records = _records(request)
    came = here = 0
    first = 1
    async for page in _pages(request.content):
        more_came, more_here = await records.import_lines(page, first)
        first += len(page)
        came, here = came + more_came, here + more_here
    _context(request).logger.warning("imported", imported=came, already_here=here)
    return Imported(came, here)


async def _pages(content: StreamReader) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a body some at a time, so that its size does not matter."""
    rest = b""
    page: list[bytes] = []
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_LINE:
            raise BodyTooLarge("A line is longer than any of an export.")
        page += lines
        if len(page) >= _IMPORT_PAGE:
            yield page
            page = []
    yield [*page, rest]


async def _list(request: web.Request, states: Sequence[State]) -> Page:
    wanted = request.query.get("state")
    if wanted is not None and wanted not in states:
        raise InvalidQuery(f"state is one of {', '.join(states)}.")
    after, limit = number(request, "after", 0), number(request, "limit", _PAGE, most=MAX_PAGE)
    rows: list[Exported] = []
    for state in states if wanted is None else (State(wanted),):
        found = await _records(request).kept(state, after, limit)
        rows += map(exported, found)
    return Page(sorted(rows, key=lambda row: row.seq)[:limit])


def number(request: web.Request, name: str, default: int, *, most: int = MAX_SEQ) -> int:
    """Return a whole number of the query.

    Raises:
        InvalidQuery: it is none, or too large.
    """
    text = request.query.get(name, str(default)).lstrip("0") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise InvalidQuery(f"{name} is a whole number from 0 to {most}.")
    return int(text)


def _done(request: web.Request, deed: str) -> Done:
    _context(request).logger.warning("operator", deed=deed, id=_id(request))
    return Done(_id(request), deed)


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _context(request: web.Request) -> Context:
    return request.app[CONTEXT]


def _records(request: web.Request) -> Records:
    records = _context(request).records
    if records is None:
        raise RowMissing("This bridge runs without an outbox on disk; nothing is kept here.")
    return records
