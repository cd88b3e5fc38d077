"""One log line and a few counts for every request, whatever became of it."""

import time
from typing import Final

from tms_bridge.listener.feed import Feed, Seen
from tms_bridge.log import Log
from tms_bridge.metrics import UNKNOWN_SOURCE, IntakeMetrics
from tms_bridge.web.visit import UNLISTED_VALID, Visit

_MAX_DETAIL: Final = 500


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
        level = "warning" if visit.detail else "info"
        self._log.line(level, "webhook", _fields(visit, http_status, seconds))

    def defect(self, visit: Visit, error: Exception) -> None:
        """Log the traceback of an error that nobody foresaw."""
        self._log.logger.error("defect", request_id=visit.request_id, source=visit.source, exc_info=error)

    def _note_event(self, visit: Visit, seconds: float) -> None:
        now = time.time()
        if visit.answered:
            self._metrics.last_accepted.set(visit.source, now)
        if visit.outcome != "duplicate":
            self._metrics.events.inc(visit.trigger, visit.status)
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


def _fields(visit: Visit, http_status: int, seconds: float) -> dict[str, object]:
    fields: dict[str, object] = {
        "outcome": visit.outcome,
        "http_status": http_status,
        "source": visit.source,
        "trigger": visit.trigger,
        "id": visit.id,
        "status": visit.status,
        "routing_key": visit.routing_key,
        "duration_ms": round(seconds * 1000, 3),
        "request_id": visit.request_id,
        "remote": visit.client or visit.peer,
    }
    if visit.client and visit.client != visit.peer:
        fields["peer"] = visit.peer
    if visit.detail:
        fields["detail"] = visit.detail[:_MAX_DETAIL]
    if not visit.answered:
        fields["answered"] = False
    return fields
