"""The calls that brought an event, lately and as they come, and what was seen of their bodies."""

from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.admin.arguments import number
from tms_bridge.admin.calls import streamed
from tms_bridge.admin.context import CONTEXT
from tms_bridge.admin.guard import HOLDER
from tms_bridge.calls import MAX_ROWS, CallRow
from tms_bridge.ingest import Observation

_DEFAULT: Final = 50


class EventView(msgspec.Struct, frozen=True):
    """One event as a watcher sees it; `latency_ms` is from the end of its headers to its answer."""

    id: str
    source: str
    trigger: str
    status: str
    routing_key: str
    outcome: str
    received_at: float
    latency_ms: float


class Events(msgspec.Struct, frozen=True):
    """Recent events of this replica, the newest first; no payloads."""

    events: list[EventView]


class AllObservations(msgspec.Struct, frozen=True):
    """What was seen of each source's bodies of each trigger: names and types, never a value."""

    observations: list[Observation]


async def list_fields(request: web.Request) -> AllObservations:
    """List the members that came, of which types, how often, and as which fields they are read."""
    seen = request.app[CONTEXT].observations()
    return AllObservations([one for one in seen if request[HOLDER].may_see(one.source)])


async def list_events(request: web.Request) -> Events:
    """List the events taken in lately, the newest first."""
    limit = number(request, "limit", _DEFAULT, most=MAX_ROWS)
    holder = request[HOLDER]
    theirs = lambda row: _is_event(row) and holder.may_see(row.call.source)  # noqa: E731 - one condition
    rows = request.app[CONTEXT].calls.select(theirs, limit)
    return Events([_seen(row) for row in rows])


async def stream_events(request: web.Request) -> web.StreamResponse:
    """Stream events as they come in, as server-sent events named `webhook`."""
    told: set[int] = set()

    def tell(row: CallRow) -> EventView | None:
        """Return an event that was not told yet: a row comes again when its fate changes."""
        if not _is_event(row) or row.number in told or not request[HOLDER].may_see(row.call.source):
            return None
        told.add(row.number)
        return _seen(row)

    return await streamed(request, "webhook", tell)


def _is_event(row: CallRow) -> bool:
    return row.fate is not None or row.call.outcome == "held"


def _seen(row: CallRow) -> EventView:
    call = row.call
    return EventView(
        call.id,
        call.source,
        call.trigger,
        call.status,
        call.routing_key,
        call.outcome,
        call.at,
        call.duration_ms,
    )
