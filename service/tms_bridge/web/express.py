"""The express: a webhook whose head was judged before, byte for byte, goes without a task of its own.

Theory of operation. TMS sends the same head with every webhook, but for the length of the body. The first one
goes the long way: aiohttp parses it, the door judges it, `Webhooks` answers it. Where it was let in and its
event taken, the bytes of its head are remembered with what came of them. The same bytes from the same peer
under the same settings mean the same, so the next request with this head goes straight to the outbox, and its
answer leaves in the call that reports the commit. A head with anything that differs each time, such as
`traceparent`, is not remembered. Whatever else is out of the ordinary (a retry, a body that is no event, no
room, a body that comes in parts) has had no effect when it is noticed, and goes the long way.

| what comes | what becomes of it |
| --- | --- |
| a known head with its whole body, at the boundary of a request | durable, then answered 2xx: `durable` |
| the same, and it cannot be made durable or in time | answered 503: `failed`, `expire` |
| the same, and its connection is gone when it is durable | counts as unanswered: a retry is recognised |
| anything else | the long way, until aiohttp has answered exactly what it was given |
"""

import asyncio
from time import perf_counter
from typing import Final

import msgspec

from tms_bridge.errors import BridgeError, Unavailable
from tms_bridge.listener.answer import Answer, answer_problem
from tms_bridge.listener.health import Health
from tms_bridge.listener.marks import mark
from tms_bridge.listener.problem import kind_of
from tms_bridge.listener.server import Connection
from tms_bridge.outbox.interface import Receipt
from tms_bridge.settings.model import Http
from tms_bridge.web.deadlines import Deadlines
from tms_bridge.web.in_flight import InFlight
from tms_bridge.web.reception import Reception
from tms_bridge.web.record import Record
from tms_bridge.web.route import Route
from tms_bridge.web.visit import Visit

_MAX_HEADS: Final = 1024
_MAX_HEAD_BYTES: Final = 4096
"""Together 4 MiB at most."""

_HEAD_END: Final = b"\r\n\r\n"
TOO_LATE: Final = "The event could not be made durable within http.deadline_s; try again."


class Known(msgspec.Struct, frozen=True):
    """What a head means: the length of its body, where it leads, and who sent it."""

    length: int
    route: Route
    credential: str
    client: str


class Express:
    """Takes in whole requests whose heads it knows."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the long way has, and the two share
        self,
        http: Http,
        reception: Reception,
        health: Health,
        record: Record,
        in_flight: InFlight,
        deadlines: Deadlines,
        patience_s: float,
    ) -> None:
        self._success_status = http.success_status
        self._max_body_bytes = http.max_body_bytes
        self._patience_s = patience_s
        self._loop_time = asyncio.get_running_loop().time
        self._known: dict[tuple[str, bytes], Known] = {}
        self._in_flight = in_flight
        self._reception = reception
        self.deadlines = deadlines
        self.health = health
        self.record = record

    def forget(self) -> None:
        """The settings have changed: every head is judged anew."""
        self._known.clear()

    def learn(self, head: bytes, length: int, route: Route, visit: Visit) -> None:
        """Remember a head that was let in."""
        if len(head) > _MAX_HEAD_BYTES or length > self._max_body_bytes:
            return
        if len(self._known) >= _MAX_HEADS:
            self._known.clear()
        self._known[visit.peer, head] = Known(length, route, visit.credential, visit.client)

    def take(self, data: bytes, connection: Connection) -> bool:
        """Take in a request; False: it has to go the long way, and nothing has been done."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        known = self._known.get((connection.remote, data[:end]))
        if known is None or len(data) - end != known.length or self._in_flight.full or self.health.stopping:
            return False
        marks = mark(None)
        visit = Visit(marks.request_id, marks.traceparent, perf_counter(), connection.remote)
        visit.source, visit.trigger = known.route.source, known.route.trigger
        visit.credential, visit.client = known.credential, known.client
        crossing = Crossing(self, connection, visit, self._loop_time() + self._patience_s)
        try:
            taken = self._reception.take_new(known.route, data[end:], visit, crossing)
        except Exception:  # noqa: BLE001 - whatever it is, the long way meets it too, and answers and records it
            return False
        if taken:
            self._in_flight.enter()
            self.deadlines.add(crossing)
        return taken

    def arrive(self, crossing: "Crossing", receipt: Receipt) -> Answer:
        """Return the answer to what is durable."""
        return Answer(self._success_status, self._reception.tell(receipt, crossing.visit))

    def miss(self, receipt: Receipt) -> None:
        """Tell the outbox that the answer did not get through."""
        self._reception.unanswered(receipt)

    def leave(self, crossing: "Crossing") -> None:
        """This one is answered."""
        self._in_flight.leave()
        self.deadlines.discard(crossing)

    def write_down(self, visit: Visit, status: int) -> None:
        """Record an answer; whoever tells of the commit has others to tell, so a defect ends here."""
        try:
            self.record.write(visit, status, perf_counter())
        except Exception as error:  # noqa: BLE001 - it is answered already; recorded
            self.record.defect(visit, error)


class Crossing:
    """One request on its way to the outbox and back; the outbox's `Waiter`."""

    __slots__ = ("_connection", "_express", "_over", "moment", "visit")

    def __init__(self, express: Express, connection: Connection, visit: Visit, moment: float) -> None:
        self._express = express
        self._connection = connection
        self._over = False
        self.visit = visit
        self.moment = moment
        """When it is too late, on the event loop's clock."""

    def durable(self, receipt: Receipt) -> None:
        """Answer 2xx, unless it is too late or the caller has gone."""
        if self._over:
            self._express.miss(receipt)
            return
        try:
            answer = self._express.arrive(self, receipt)
        except Exception as error:  # noqa: BLE001 - a defect must not cost the other callers theirs; recorded
            self._express.miss(receipt)
            self._express.record.defect(self.visit, error)
            self._finish(self._refusal(error))
            return
        self.visit.receipt = receipt
        self._finish(answer)
        if not self.visit.answered:
            self._express.miss(receipt)

    def failed(self, error: Exception) -> None:
        """Answer 503."""
        if not self._over:
            if not isinstance(error, BridgeError):
                self._express.record.defect(self.visit, error)
            self._finish(self._refusal(error))

    def expire(self) -> None:
        """Its moment has come."""
        self.failed(Unavailable(TOO_LATE))

    def _refusal(self, error: Exception) -> Answer:
        self.visit.outcome, self.visit.detail = kind_of(error).slug, str(error)
        return answer_problem(error, self.visit.request_id)

    def _finish(self, answer: Answer) -> None:
        self._over = True
        self._express.leave(self)
        keep_alive = not (answer.refusal or self._express.health.stopping)
        self.visit.answered = self._connection.answer(answer, self.visit.request_id, keep_alive=keep_alive)
        self._express.write_down(self.visit, answer.status)
