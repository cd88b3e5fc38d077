"""The operations of the API, in one table from which both the routes and the OpenAPI document are made."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.admin import calls, events, rows, status
from tms_bridge.admin.context import SentTest, UnroutableReplayed
from tms_bridge.calls import MAX_ROWS
from tms_bridge.outbox.operators import Done, Imported
from tms_bridge.outbox.rows import MAX_SEQ, OUTBOX, QUARANTINE, Row

Handler = Callable[[web.Request], Awaitable[msgspec.Struct | web.StreamResponse]]


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of the query: a number up to `most`, one of `words`, or where both are empty any text."""

    name: str
    most: int = 0
    words: tuple[str, ...] = ()


_NARROWING: Final = tuple(Parameter(name) for name in ("source", "outcome", "entity", "id", "address"))
"""What the lists of calls can be narrowed by."""


class Operation(msgspec.Struct, frozen=True):
    """One method on one path.

    Attributes:
        answer: the struct of a 200, or the media type of a stream.
        problems: the statuses beyond 401 and 403 that it may answer with.
        takes: the media type of its body; empty when it has none.
        deed: what the audit log calls it, and then it is an operator's; empty where it changes nothing and
            reads no body.
        narrowed: it tells a viewer of some sources of those alone; others are refused to such a viewer.
    """

    method: str
    path: str
    handler: Handler
    answer: type[msgspec.Struct] | str
    problems: tuple[int, ...] = ()
    query: tuple[Parameter, ...] = ()
    takes: str = ""
    deed: str = ""
    narrowed: bool = False


def _state(states: Sequence[str]) -> Parameter:
    return Parameter("state", words=tuple(map(str, states)))


def _paging(states: Sequence[str]) -> tuple[Parameter, ...]:
    return (_state(states), Parameter("after", most=MAX_SEQ), Parameter("limit", most=rows.MAX_PAGE))


_LINES: Final = "application/x-ndjson"

OPERATIONS: Final = (
    Operation("GET", "/status", status.show_status, status.Status),
    Operation(
        "GET",
        "/calls",
        calls.list_calls,
        calls.CallViews,
        (400,),
        (Parameter("limit", most=MAX_ROWS), Parameter("before", most=MAX_SEQ), *_NARROWING),
        narrowed=True,
    ),
    Operation(
        "GET",
        "/calls/stream",
        calls.stream_calls,
        "text/event-stream",
        (400, 503),
        _NARROWING,
        narrowed=True,
    ),
    Operation(
        "GET",
        "/events",
        events.list_events,
        events.Events,
        (400,),
        (Parameter("limit", most=MAX_ROWS),),
        narrowed=True,
    ),
    Operation("GET", "/events/stream", events.stream_events, "text/event-stream", (503,), narrowed=True),
    Operation("GET", "/fields", events.list_fields, events.AllObservations, narrowed=True),
    Operation("GET", "/outbox", rows.list_outbox, rows.Listing, (400, 404), _paging(OUTBOX)),
    Operation(
        "POST",
        "/outbox",
        rows.import_rows,
        Imported,
        (400, 404, 413, 415, 503),
        takes=_LINES,
        deed="import",
    ),
    Operation(
        "GET", "/outbox/export", rows.export_outbox, _LINES, (400, 404), (_state(OUTBOX),), deed="export"
    ),
    Operation("GET", "/outbox/{id}", rows.show_event, Row, (400, 404), deed="show"),
    Operation("DELETE", "/outbox/{id}", rows.drop_event, Done, (400, 404, 409, 503), deed="drop"),
    Operation("POST", "/outbox/{id}/retry", rows.retry, Done, (400, 404, 409, 503), deed="retry"),
    Operation("GET", "/quarantine", rows.list_quarantine, rows.Listing, (400, 404), _paging(QUARANTINE)),
    Operation(
        "GET",
        "/quarantine/export",
        rows.export_quarantine,
        _LINES,
        (400, 404),
        (_state(QUARANTINE),),
        deed="export",
    ),
    Operation("GET", "/quarantine/{id}", rows.show_quarantined, Row, (400, 404), deed="show"),
    Operation("DELETE", "/quarantine/{id}", rows.drop_quarantined, Done, (400, 404, 503), deed="drop"),
    Operation(
        "POST",
        "/quarantine/{id}/replay",
        rows.replay,
        Done,
        (400, 404, 409, 422, 503),
        (Parameter("as", words=rows.TRIGGERS),),
        deed="replay",
    ),
    Operation(
        "POST",
        "/sources/{name}/test",
        events.send_test,
        SentTest,
        (400, 404, 503),
        (Parameter("trigger", words=rows.TRIGGERS), Parameter("status")),
        deed="test",
    ),
    Operation(
        "POST",
        "/unroutable/replay",
        events.replay_unroutable,
        UnroutableReplayed,
        (503,),
        (Parameter("key"),),
        deed="replay",
    ),
    Operation("POST", "/quarantine/{id}/release", rows.release, Done, (400, 404, 409, 503), deed="release"),
)
