"""One log line and a few counts for every request, whatever became of it."""

import time
from typing import Final

import msgspec

from tms_bridge import errors
from tms_bridge.http.answer import INTERNAL, KINDS
from tms_bridge.http.feed import Feed, Seen
from tms_bridge.log import Line, Log
from tms_bridge.metrics import UNKNOWN_SOURCE, IntakeMetrics
from tms_bridge.web.visit import UNLISTED_VALID, Visit

_MAX_DETAIL: Final = 500

_OPERATORS: Final = (errors.InvalidQuery, errors.Forbidden, errors.RowMissing, errors.RowBusy)
"""What only the admin listener answers."""

OUTCOMES: Final = (
    *("accepted", "duplicate", "held", "aborted", "looked", "probed", UNLISTED_VALID, INTERNAL.slug),
    *(kind.slug for error, kind in KINDS.items() if error not in _OPERATORS),
)
"""Whatever can become of a request."""


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
    detail: str | msgspec.UnsetType
    answered: bool | msgspec.UnsetType
    event: str = "webhook"


class Record:
    """Writes down how requests were answered."""

    def __init__(self, metrics: IntakeMetrics, log: Log, feed: Feed) -> None:
        self._metrics = metrics
        self._feed = feed
        self._log = log

    def write(self, visit: Visit, http_status: int, now: float) -> None:
        """Count and log one answered request; `now` is on the clock of `visit.started`."""
        seconds = now - visit.started
        self._metrics.duration.observe(seconds)
        self._metrics.requests.inc(
            visit.source or UNKNOWN_SOURCE, visit.trigger or UNKNOWN_SOURCE, visit.outcome
        )
        if visit.credential:
            self._metrics.credential_used.inc(visit.source, visit.credential)
        if visit.receipt is not None:
            self._note_event(visit, seconds)
        if visit.unlisted and visit.credential:
            self._vendor_moved(visit)
        self._log.line(_line(visit, http_status, seconds))

    def defect(self, visit: Visit, error: Exception) -> None:
        """Log the traceback of an error that nobody foresaw."""
        self._log.logger.error("defect", request_id=visit.request_id, source=visit.source, exc_info=error)

    def _note_event(self, visit: Visit, seconds: float) -> None:
        now = time.time()
        if visit.answered:
            self._metrics.last_accepted.set(visit.source, now)
        if visit.outcome != "duplicate":
            self._metrics.events.inc(visit.trigger, visit.status)
            for field in visit.unread:
                self._metrics.fields_unread.inc(visit.trigger, field)
        self._feed.add(
            Seen(
                visit.id,
                visit.source,
                visit.trigger,
                visit.status,
                visit.routing_key,
                visit.outcome,
                now - seconds,
                round(seconds * 1000, 3),
            )
        )

    def _vendor_moved(self, visit: Visit) -> None:
        """Valid credentials from an address on no list: the vendor may have moved, or a secret leaked."""
        if visit.outcome != UNLISTED_VALID:
            self._metrics.requests.inc(visit.source, visit.trigger, UNLISTED_VALID)
        self._log.logger.warning(
            UNLISTED_VALID,
            source=visit.source,
            credential=visit.credential,
            remote=visit.client or visit.peer,
            request_id=visit.request_id,
            detail=visit.unlisted,
        )


def _line(visit: Visit, http_status: int, seconds: float) -> WebhookLine:
    remote = visit.client or visit.peer
    return WebhookLine(
        "",
        "warning" if visit.detail else "info",
        visit.outcome,
        http_status,
        visit.source,
        visit.trigger,
        visit.id,
        visit.status,
        visit.routing_key,
        round(seconds * 1000, 3),
        visit.request_id,
        remote,
        msgspec.UNSET if visit.peer == remote else visit.peer,
        visit.detail[:_MAX_DETAIL] if visit.detail else msgspec.UNSET,
        msgspec.UNSET if visit.answered else False,
    )
