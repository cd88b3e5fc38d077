"""Operations on the rows of outbox and quarantine: look, send again, drop; the verbs are the outbox's own."""

from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.admin.arguments import chosen, number, pages, row_id, word
from tms_bridge.admin.context import CONTEXT
from tms_bridge.errors import RowMissing
from tms_bridge.outbox.operators import Done, Imported, Operators
from tms_bridge.outbox.rows import OUTBOX, QUARANTINE, Row, State
from tms_events import Trigger

MAX_PAGE: Final = 1000
TRIGGERS: Final = tuple(map(str, Trigger))
_PAGE: Final = 100


class Listing(msgspec.Struct, frozen=True):
    """Rows in order of seq, without bodies; more come with `after` = the last one's seq, until none do."""

    rows: list[Row]


async def list_outbox(request: web.Request) -> Listing:
    """List events that wait or were refused, oldest first, without bodies."""
    return await _list(request, OUTBOX)


async def list_quarantine(request: web.Request) -> Listing:
    """List bodies in quarantine and events that are held, oldest first, without the bodies themselves."""
    return await _list(request, QUARANTINE)


async def show_event(request: web.Request) -> Row:
    """Show an event with its body."""
    return await _operators(request).show(row_id(request), OUTBOX)


async def show_quarantined(request: web.Request) -> Row:
    """Show a quarantined or held row with its body."""
    return await _operators(request).show(row_id(request), QUARANTINE)


async def retry(request: web.Request) -> Done:
    """Send a refused event again, from the tail."""
    return await _operators(request).retry(row_id(request))


async def release(request: web.Request) -> Done:
    """Send a held event, from the tail."""
    return await _operators(request).release(row_id(request))


async def replay(request: web.Request) -> Done:
    """Read a body once more, as another trigger's with `as`, and send its event; a held one is released."""
    return await _operators(request).replay(row_id(request), word(request, "as", TRIGGERS))


async def drop_event(request: web.Request) -> Done:
    """Forget an event for good."""
    return await _operators(request).drop(row_id(request), OUTBOX)


async def drop_quarantined(request: web.Request) -> Done:
    """Forget a quarantined or held row for good."""
    return await _operators(request).drop(row_id(request), QUARANTINE)


async def export_outbox(request: web.Request) -> web.StreamResponse:
    """Stream every event with its body, a line of JSON each."""
    return await _export(request, OUTBOX)


async def export_quarantine(request: web.Request) -> web.StreamResponse:
    """Stream every quarantined and held row with its body, a line of JSON each."""
    return await _export(request, QUARANTINE)


async def import_rows(request: web.Request) -> Imported:
    """Append the lines of an export whose ids are not here."""
    operators = _operators(request)
    came = here = 0
    first = 1
    async for page in pages(request):
        imported = await operators.import_lines(page, first)
        first += len(page)
        came, here = came + imported.imported, here + imported.already_here
    return Imported(came, here)


async def _list(request: web.Request, states: Sequence[State]) -> Listing:
    wanted = chosen(request, states)
    after, limit = number(request, "after", 0), number(request, "limit", _PAGE, most=MAX_PAGE)
    return Listing(await _operators(request).rows(wanted, after, limit))


async def _export(request: web.Request, states: Sequence[State]) -> web.StreamResponse:
    exported = _operators(request).export(chosen(request, states))
    headers = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    none: list[bytes] = []
    page = await anext(exported, none)  # what can go wrong does so before the answer begins
    await response.prepare(request)
    while page:
        await response.write(b"".join(page))
        page = await anext(exported, none)
    await response.write_eof()
    return response


def _operators(request: web.Request) -> Operators:
    operators = request.app[CONTEXT].operators
    if operators is None:
        raise RowMissing("This bridge runs without an outbox on disk; nothing is kept here.")
    return operators
