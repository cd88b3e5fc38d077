"""The operations of the API, in one table from which both the routes and the OpenAPI document are made."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.admin import events, rows, status
from tms_bridge.http.feed import RECENT
from tms_bridge.outbox.records import MAX_SEQ, OUTBOX, QUARANTINE, Exported

Handler = Callable[[web.Request], Awaitable[msgspec.Struct | web.StreamResponse]]


class Query(msgspec.Struct, frozen=True):
    """A parameter of the query; a number up to `most`, or one of `words`."""

    name: str
    most: int = 0
    words: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True):
    """One method on one path.

    Attributes:
        answer: the struct of a 200; None for a stream of server-sent events.
        problems: the statuses beyond 401 and 403 that it may answer with.
        takes: the media type of its body; empty when it has none.
    """

    method: str
    path: str
    handler: Handler
    answer: type[msgspec.Struct] | None
    problems: tuple[int, ...] = ()
    query: tuple[Query, ...] = ()
    takes: str = ""


def _paging(states: Sequence[str]) -> tuple[Query, ...]:
    return (
        Query("state", words=tuple(map(str, states))),
        Query("after", most=MAX_SEQ),
        Query("limit", most=rows.MAX_PAGE),
    )


OPERATIONS: Final = (
    Operation("GET", "/status", status.show_status, status.Status),
    Operation("GET", "/events", events.list_events, events.Events, (400,), (Query("limit", most=RECENT),)),
    Operation("GET", "/events/stream", events.stream_events, None, (503,)),
    Operation("GET", "/outbox", rows.list_outbox, rows.Page, (400, 404), _paging(OUTBOX)),
    Operation(
        "POST",
        "/outbox",
        rows.import_events,
        rows.Imported,
        (400, 404, 413, 503),
        takes="application/x-ndjson",
    ),
    Operation("GET", "/outbox/{id}", rows.show_event, Exported, (400, 404)),
    Operation("DELETE", "/outbox/{id}", rows.drop_event, rows.Done, (400, 404, 409)),
    Operation("POST", "/outbox/{id}/retry", rows.retry, rows.Done, (400, 404, 409)),
    Operation("GET", "/quarantine", rows.list_quarantine, rows.Page, (400, 404), _paging(QUARANTINE)),
    Operation("GET", "/quarantine/{id}", rows.show_quarantined, Exported, (400, 404)),
    Operation("DELETE", "/quarantine/{id}", rows.drop_quarantined, rows.Done, (400, 404)),
    Operation("POST", "/quarantine/{id}/replay", rows.replay, rows.Done, (400, 404, 422)),
    Operation("POST", "/quarantine/{id}/release", rows.release, rows.Done, (400, 404)),
)
