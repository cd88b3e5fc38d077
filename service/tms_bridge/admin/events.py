"""The events, lately and as they come; what was seen of their bodies; a test event; a replay."""

from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.admin.arguments import number, word
from tms_bridge.admin.calls import streamed
from tms_bridge.admin.context import CONTEXT, SentTest, UnroutableReplayed
from tms_bridge.admin.guard import HOLDER
from tms_bridge.calls import MAX_ROWS, CallRow
from tms_bridge.ingest import Observation
from tms_events import Trigger

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
    calls, holder = request.app[CONTEXT].calls, request[HOLDER]
    told: set[int] = set()

    def wanted(row: CallRow) -> bool:
        """Return whether it is an event that was not told yet: a row comes again when its fate changes."""
        if not _is_event(row) or row.number in told or not holder.may_see(row.call.source):
            return False
        if len(told) > 2 * MAX_ROWS:
            told.intersection_update(row.number for row in calls)
        told.add(row.number)
        return True

    return await streamed(request, "webhook", wanted, _seen)


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


async def send_test(request: web.Request) -> SentTest:
    """Send an event that only tries the way: of entity 0, and marked as a test wherever it goes."""
    bus, source = request.app[CONTEXT].bus, request.match_info["name"]
    trigger = word(request, "trigger", tuple(map(str, Trigger))) or "class"
    status = request.query.get("status", "unknown")
    return SentTest(await bus.send_test(source, trigger, status, request.remote or ""))


async def replay_unroutable(request: web.Request) -> UnroutableReplayed:
    """Send again up to 1,000 events that no queue wanted, of one routing key with `key`."""
    return await request.app[CONTEXT].bus.replay_unroutable(request.query.get("key", ""))
