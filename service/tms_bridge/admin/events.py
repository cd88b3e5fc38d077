"""The events that were taken in lately, those that come in now, and what was seen of their bodies."""

import asyncio
import contextlib
from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.admin.arguments import number
from tms_bridge.admin.context import CONTEXT
from tms_bridge.admin.guard import HOLDER
from tms_bridge.http.feed import RECENT, Feed, Seen
from tms_bridge.ingest import Observation

_DEFAULT: Final = 50
_QUIET_S: Final = 15.0
"""A stream that is silent for longer looks dead to proxies."""

_LOOK_S: Final = 0.5
"""How often a silent stream looks whether its reader is still there and the bridge goes on."""


class Events(msgspec.Struct, frozen=True):
    """Recent events of this replica, the newest first; no payloads."""

    events: list[Seen]


class AllObservations(msgspec.Struct, frozen=True):
    """What was seen of each source's bodies of each trigger: names and types, never a value."""

    observations: list[Observation]


async def list_fields(request: web.Request) -> AllObservations:
    """List the members that came, of which types, how often, and as which fields they are read."""
    seen = request.app[CONTEXT].observations()
    return AllObservations([one for one in seen if request[HOLDER].may_see(one.source)])


async def list_events(request: web.Request) -> Events:
    """List the events taken in lately, the newest first."""
    limit = number(request, "limit", _DEFAULT, most=RECENT)
    holder = request[HOLDER]
    return Events([seen for seen in request.app[CONTEXT].feed.recent(limit) if holder.may_see(seen.source)])


async def stream_events(request: web.Request) -> web.StreamResponse:
    """Stream events as they come in, as server-sent events."""
    feed: Feed = request.app[CONTEXT].feed
    with feed.watch() as queue:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b": connected\n\n")
        while (text := await _next(queue, request)) is not None:
            await response.write(text)
    return response


async def _next(queue: asyncio.Queue[Seen], request: web.Request) -> bytes | None:
    """Return what is written next; None when nobody reads any more or the bridge stops."""
    health = request.app[CONTEXT].health
    for _ in range(round(_QUIET_S / _LOOK_S)):
        if request.transport is None or health.stopping:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                while not request[HOLDER].may_see((seen := await queue.get()).source):
                    pass
            return b"id: %s\nevent: webhook\ndata: %s\n\n" % (seen.id.encode(), msgspec.json.encode(seen))
    return b": quiet\n\n"
