"""One log line and a few counts for every request, whatever became of it."""

import time
from collections.abc import Callable
from http import HTTPStatus
from sys import intern
from typing import Final

import msgspec

from tms_bridge.calls import AnsweredCall, Calls
from tms_bridge.http.answer import UNLISTED_VALID, Head
from tms_bridge.http.strangers import Strangers, cut
from tms_bridge.log import Line, Log
from tms_bridge.metrics import UNKNOWN_SOURCE, IntakeMetrics
from tms_bridge.web.sources import Caller

_MAX_DETAIL: Final = 300
_MAX_WIDE_DETAIL: Final = 150
"""Of a text whose characters may take four bytes each: thousands of calls are kept."""

_MAX_METHOD: Final = 20
_MAX_PATH: Final = 200


class WebhookLine(Line, gc=False):
    """The log line of one request; what is unset is left out."""

    outcome: str
    http_status: int
    source: str
    trigger: str
    id: str
    status: str
    routing_key: str
    duration_ms: float
    request_id: str
    remote: str
    peer: str | msgspec.UnsetType
    method: str | msgspec.UnsetType
    path: str | msgspec.UnsetType
    detail: str | msgspec.UnsetType
    answered: bool | msgspec.UnsetType
    event: str = "webhook"
    trace_id: str | msgspec.UnsetType = msgspec.UNSET


class Visit(msgspec.Struct, frozen=True, gc=False):
    """One request, as it came.

    Attributes:
        request_id: also the span id of its trace context.
        started: when its head had come, on `time.perf_counter`, for the loop's clock may count milliseconds.
        peer: the address that the connection comes from.
        head: of empty words where the bytes were no request.
        source, trigger: where its path leads; empty where that is nowhere.
        traceparent: the trace context that what it brings goes on with.
    """

    request_id: str
    started: float
    peer: str
    head: Head
    source: str = ""
    trigger: str = ""
    traceparent: str = ""


class Ended(msgspec.Struct, frozen=True, gc=False):
    """What became of a request.

    Attributes:
        outcome: one word for metrics and log.
        detail: for the log alone, what was wrong with it.
        id: of the event, or of the row in quarantine.
        entity: decimal id of what the event is about.
        taken: an event is durable and was to be answered 2xx.
        unread: fields of the event that were there and could not be read.
    """

    outcome: str
    detail: str = ""
    id: str = ""
    status: str = ""
    routing_key: str = ""
    entity: str = ""
    taken: bool = False
    unread: tuple[str, ...] = ()


Trace = Callable[[str, str | None, AnsweredCall], str]
"""Writes a call down, by its place in a trace and the `traceparent` it came with; returns the trace id."""

_NOBODY: Final = Caller("", "", "", held=False, detail="")


class AccessLog:
    """Writes down how requests were answered."""

    def __init__(self, metrics: IntakeMetrics, log: Log, calls: Calls, *, trace: Trace | None = None) -> None:
        self._metrics = metrics
        self._trace = trace
        self._calls = calls
        self._log = log
        self._strangers = Strangers("http", log.logger)

    def write(
        self, visit: Visit, caller: Caller | None, ended: Ended, http_status: int, *, answered: bool
    ) -> None:
        """Count and log one request; `answered`: an open connection has taken the whole answer."""
        seconds = time.perf_counter() - visit.started
        caller = caller or _NOBODY
        if caller.unlisted and caller.credential:
            self._vendor_moved(visit, caller, ended.outcome)
        call = _call(visit, caller, ended, http_status, seconds, answered=answered)
        heard = caller.credential or self._strangers.is_new(call.address, ended.outcome)
        line = _line(call) if heard else None
        self._count(visit, caller, ended, seconds, answered=answered)
        if line is not None:
            if self._trace is not None and visit.source:
                line.trace_id = self._trace(visit.traceparent, visit.head.headers.get("traceparent"), call)
            self._log.line(line)
        self._calls.note(call)

    def note(self, call: AnsweredCall, traceparent: str) -> None:
        """List what was taken in without a call, with the trace context that it goes on with."""
        if self._trace is not None:
            self._trace(traceparent, None, call)
        self._calls.note(call)

    def defect(self, visit: Visit, error: Exception) -> None:
        """Log the traceback of an error that nobody foresaw."""
        self._log.logger.error("defect", **self._marks(visit), source=visit.source, exc_info=error)

    def _marks(self, visit: Visit) -> dict[str, str]:
        """Return what leads from a line to the others of its webhook."""
        marks = {"request_id": visit.request_id}
        return marks if self._trace is None else {**marks, "trace_id": visit.traceparent[3:35]}

    def _count(self, visit: Visit, caller: Caller, ended: Ended, seconds: float, *, answered: bool) -> None:
        metrics, source, trigger = self._metrics, visit.source, visit.trigger
        metrics.duration.observe(seconds)
        metrics.requests.inc(source or UNKNOWN_SOURCE, trigger or UNKNOWN_SOURCE, ended.outcome)
        if caller.credential:
            metrics.credential_used.inc(source, caller.credential)
        if not ended.taken:
            return
        if answered:
            metrics.last_accepted.set(source, time.time())
        if ended.outcome != "duplicate":
            metrics.events.inc(trigger, ended.status)
            for field in ended.unread:
                metrics.fields_unread.inc(trigger, field)

    def _vendor_moved(self, visit: Visit, caller: Caller, outcome: str) -> None:
        """Valid credentials from an address on no list: the vendor may have moved, or a secret leaked."""
        if outcome != UNLISTED_VALID:
            self._metrics.requests.inc(visit.source, visit.trigger, UNLISTED_VALID)
        self._log.logger.warning(
            UNLISTED_VALID,
            source=visit.source,
            credential=caller.credential,
            remote=caller.client or visit.peer,
            detail=caller.unlisted,
            **self._marks(visit),
        )


def _call(  # noqa: PLR0913 - what is known of it, from its head to its answer
    visit: Visit, caller: Caller, ended: Ended, http_status: int, seconds: float, *, answered: bool
) -> AnsweredCall:
    method, path = visit.head.method, visit.head.path
    if not ended.taken:  # else they are what a webhook's are
        method, path = cut(method, _MAX_METHOD), cut(path, _MAX_PATH)
    if visit.source:  # one of the few paths that lead somewhere: thousands of rows share it
        path = intern(path)
    return AnsweredCall(
        at=time.time() - seconds,
        request_id=visit.request_id,
        method=method,
        path=path,
        http_status=http_status,
        outcome=ended.outcome,
        duration_ms=round(seconds * 1000, 3),
        source=visit.source,
        trigger=visit.trigger,
        address=intern(caller.client or visit.peer),
        peer=intern(visit.peer),
        listed=caller is not _NOBODY and not caller.unlisted,
        credential=caller.credential,
        detail=ended.detail[: _MAX_DETAIL if ended.detail.isascii() else _MAX_WIDE_DETAIL],
        answered=answered,
        id=ended.id,
        status=ended.status,
        entity=ended.entity,
        routing_key=ended.routing_key,
    )


def _line(call: AnsweredCall) -> WebhookLine:
    refused = call.http_status >= HTTPStatus.BAD_REQUEST
    return WebhookLine(
        "",
        "warning" if call.detail else "info",
        call.outcome,
        call.http_status,
        call.source,
        call.trigger,
        call.id,
        call.status,
        call.routing_key,
        call.duration_ms,
        call.request_id,
        call.address,
        msgspec.UNSET if call.peer == call.address else call.peer,
        call.method if refused else msgspec.UNSET,
        call.path if refused else msgspec.UNSET,
        call.detail or msgspec.UNSET,
        msgspec.UNSET if call.answered else False,
    )
