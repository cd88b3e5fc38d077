"""The fast path: a webhook whose head was judged before, byte for byte, goes without a task of its own.

Theory of operation. TMS sends the same head with every webhook, but for the length of the body. The first one
takes the slow path: aiohttp parses it, the door judges it, `Webhooks` answers it. Where it was let in and its
event taken, the bytes of its head are remembered with what came of them. The same bytes from the same peer
under the same settings mean the same, so the next request with this head goes straight to the outbox, and its
answer leaves in the call that reports the commit. A head with anything that differs each time, such as
`traceparent`, is not remembered. Whatever else is out of the ordinary (a retry, a body that is no event, no
room, a body that comes in parts) has had no effect when it is noticed, and takes the slow path.

| what comes | what becomes of it |
| --- | --- |
| a known head with its whole body, at the boundary of a request | durable, then answered 2xx: `durable` |
| the same, and it cannot be made durable or in time | answered 503: `failed`, `expire` |
| the same, and its connection is gone when it is durable | counts as unanswered: a retry is recognised |
| anything else | the slow path, until aiohttp has answered exactly what it was given |
"""

from time import perf_counter
from typing import Final

import msgspec

from tms_bridge.errors import BridgeError, Unavailable
from tms_bridge.http.answer import Answer, answer_problem, kind_of
from tms_bridge.http.health import Health
from tms_bridge.http.ids import mark
from tms_bridge.http.server import HEAD_END, Connection
from tms_bridge.outbox.contract import Receipt
from tms_bridge.web.deadlines import TOO_LATE, Deadlines
from tms_bridge.web.in_flight import InFlight
from tms_bridge.web.reception import Reception
from tms_bridge.web.record import Record
from tms_bridge.web.route import Route
from tms_bridge.web.visit import Visit

_MAX_HEADS: Final = 1024
_MAX_HEAD_BYTES: Final = 4096
"""Together 4 MiB at most."""


class Known(msgspec.Struct, frozen=True):
    """What a head means: the length of its body, where it leads, and who sent it."""

    length: int
    route: Route
    credential: str
    client: str


class Desk(msgspec.Struct, frozen=True):
    """What the slow path and the fast path share.

    Attributes:
        success_status: the status of a 2xx.
    """

    success_status: int
    reception: Reception
    health: Health
    record: Record
    in_flight: InFlight
    deadlines: Deadlines


class FastPath:
    """Takes in whole requests whose heads it knows."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[tuple[str, bytes], Known] = {}

    def forget(self) -> None:
        """The settings have changed: every head is judged anew."""
        self._known.clear()

    def learn(self, head: bytes, length: int, route: Route, visit: Visit) -> None:
        """Remember a head that was let in."""
        if len(head) > _MAX_HEAD_BYTES:
            return
        if len(self._known) >= _MAX_HEADS:
            self._known.clear()
        self._known[visit.peer, head] = Known(length, route, visit.credential, visit.client)

    def take(self, data: bytes, connection: Connection) -> bool:
        """Take in a request; False: it has to take the slow path, and nothing has been done."""
        desk = self._desk
        end = data.find(HEAD_END) + len(HEAD_END)
        known = self._known.get((connection.remote, data[:end]))
        if (
            known is None
            or len(data) - end != known.length
            or desk.in_flight.full
            or desk.health.stopping
            or connection.expired
        ):
            return False
        marks = mark(None)
        visit = Visit(marks.request_id, marks.traceparent, perf_counter(), connection.remote)
        visit.source, visit.trigger = known.route.source, known.route.trigger
        visit.credential, visit.client = known.credential, known.client
        request = FastRequest(desk, connection, visit)
        try:
            taken = desk.reception.take_new(known.route, data[end:], visit, request)
        except Exception:  # noqa: BLE001 - whatever it is, the slow path meets it too, and answers and records it
            return False
        if taken:
            desk.in_flight.enter()
            desk.deadlines.add(request)
        return taken


class FastRequest:
    """One request on its way to the outbox and back; the outbox's `Waiter`."""

    __slots__ = ("_answered", "_connection", "_desk", "_visit", "moment")

    def __init__(self, desk: Desk, connection: Connection, visit: Visit) -> None:
        self._desk = desk
        self._connection = connection
        self._visit = visit
        self._answered = False
        self.moment = desk.deadlines.next()
        """When it is too late, on the event loop's clock."""

    def durable(self, receipt: Receipt) -> None:
        """Answer 2xx, unless it is too late or the caller has gone: then a retry must be recognised."""
        if self._answered or not self._confirm(receipt):
            self._desk.reception.unanswered(receipt)

    def failed(self, error: Exception) -> None:
        """Answer 503."""
        if not self._answered:
            self._refuse(error)

    def expire(self) -> None:
        """Answer 503: its moment has come."""
        self.failed(Unavailable(TOO_LATE))

    def _confirm(self, receipt: Receipt) -> bool:
        """Return whether a 2xx was handed to a connection that is still open."""
        try:
            body = self._desk.reception.tell(receipt, self._visit)
        except Exception as error:  # noqa: BLE001 - a defect must not cost the other callers theirs; recorded
            self._refuse(error)
            return False
        self._visit.receipt = receipt
        self._answer(Answer(self._desk.success_status, body))
        return self._visit.answered

    def _refuse(self, error: Exception) -> None:
        visit = self._visit
        if not isinstance(error, BridgeError):
            self._desk.record.defect(visit, error)
        visit.outcome, visit.detail = kind_of(error).slug, str(error)
        self._answer(answer_problem(error, visit.request_id))

    def _answer(self, answer: Answer) -> None:
        desk, visit = self._desk, self._visit
        self._answered = True
        desk.in_flight.leave()
        desk.deadlines.discard(self)
        keep_alive = not (answer.refusal or desk.health.stopping)
        visit.answered = self._connection.answer(answer, visit.request_id, keep_alive=keep_alive)
        try:
            desk.record.write(visit, answer.status, perf_counter())
        except Exception as error:  # noqa: BLE001 - it is answered already, and others wait; recorded
            desk.record.defect(visit, error)
