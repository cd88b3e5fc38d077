"""One request from its head to its answer: admitted, taken in, answered, counted, logged; each step once.

Theory of operation. A `Call` is the outbox's `Waiter` for its body. It is made when the head has come and is
over when the answer has left, once, in `_end`. Two ways lead through the same steps: the short way takes them
in one go for a request that has come whole, the long way in a task that waits for the body first.

| what happens | what becomes of the call |
| --- | --- |
| the head is refused, or the body | a problem |
| the path is a probe's, or a webhook is looked at | answered at once |
| its event is durable, and noted as answered | 2xx; where that cannot be handed over, a retry is recognised |
| its body is no event, and safe in quarantine | 422 |
| it is not safe, or not in time | 503; what becomes durable later is recognised by its retry |
| the caller is gone before the body is here | nobody is answered |

Nothing of a body is used before path, method, address, credentials and framing have passed.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import StreamReader

from tms_bridge import ingest
from tms_bridge.auth import Throttle
from tms_bridge.auth.client import Client, Unreadable
from tms_bridge.errors import (
    AddressRefused,
    BodyTimeout,
    MalformedRequest,
    MethodNotAllowed,
    OutboxError,
    SenderError,
    Unavailable,
    Undecodable,
    UnknownPath,
)
from tms_bridge.http.answer import TEXT, UNLISTED_VALID, Answer, Head, answer_problem, kind_of
from tms_bridge.http.health import PROBES, Health
from tms_bridge.http.ids import EventIds, Marks
from tms_bridge.http.server import Connection
from tms_bridge.message import Message
from tms_bridge.outbox.contract import Durable, Intake, Receipt
from tms_bridge.settings.model import Http
from tms_bridge.web.access_log import AccessLog, Ended, Visit
from tms_bridge.web.limits import CONTINUE, TOO_LATE, TOO_SLOW, Deadlines, InFlight, check_framing
from tms_bridge.web.sources import Caller, Route

_READS: Final = ("GET", "HEAD")
_LOOKED: Final = Answer(
    200,
    b"TMS Bridge is here, and this URL is right. That proves the URL alone, not address or credentials.\n",
    TEXT,
)
_GONE: Final = 499
"""What the log calls an answer that nobody was there for."""

_NO_PATH: Final = (
    "There is no such path or source. Webhook URLs end in /webhooks/SOURCE/course-assignment-changed or "
    "/webhooks/SOURCE/class-changed; `tms-bridge tms-settings --source SOURCE` prints them."
)
_OLD_CHUNKS: Final = "HTTP/1.0 knows no Transfer-Encoding; send a Content-Length, or HTTP/1.1."
_TOO_MANY: Final = "Too many webhooks are in flight, of this source or in all (http.max_in_flight); retry."
_NO_EVENT: Final = (
    "The body is not an event of this trigger: {reason} It is kept in quarantine, where the operator can "
    "replay it once it can be read; sending it again does not help."
)


def _slip(path: str) -> str:
    """Name what is wrong with the slashes of a path that is one but for them; empty for others."""
    if "//" in path:
        return "The path has a doubled slash. "
    if "/webhooks/" in path and not path.startswith("/webhooks/"):
        return "The path has something before /webhooks. "
    return "The path ends in a slash too many. " if path.endswith("-changed/") else ""


def _ended(reason: str) -> str:
    """Return a reason as the end of a sentence; one of them is a question."""
    return reason if reason.endswith("?") else f"{reason}."


class Accepted(msgspec.Struct, frozen=True):
    """The body of a 2xx."""

    id: str
    outcome: str
    routing_key: str
    durable: Durable


_encode: Final = msgspec.json.Encoder().encode


class Desk(msgspec.Struct, frozen=True):
    """What all calls share."""

    http: Http
    outbox: Intake
    ids: EventIds
    health: Health
    log: AccessLog
    in_flight: InFlight
    deadlines: Deadlines
    throttle: Throttle
    client: Client
    observations: ingest.Observations
    now_us: Callable[[], int]
    mark: Callable[[str | None], Marks]


class Call:
    """One request on its way."""

    __slots__ = (
        "_caller",
        "_connection",
        "_content",
        "_counted",
        "_desk",
        "_message",
        "_remark",
        "_route",
        "_told",
        "_unread",
        "_visit",
        "moment",
        "over",
        "stays",
    )

    _caller: Caller | None
    """Who calls, once its head was judged."""

    _message: Message | None
    """What its body is, where that was new."""

    def __init__(
        self, desk: Desk, connection: Connection, visit: Visit, content: StreamReader, route: Route | None
    ) -> None:
        self._desk = desk
        self._connection = connection
        self._visit = visit
        self._content = content
        self._route = route
        self._caller = None
        self._message = None
        self._remark = ""
        self._unread: tuple[str, ...] = ()
        self._counted = False
        self.moment = desk.deadlines.loop.time() + desk.deadlines.patience_s
        """When it is too late, on the event loop's clock."""
        self.over = False
        self.stays = False
        """Once it is over: whether its connection goes on."""
        self._told: asyncio.Future[None] | None = None

    # The steps

    def admit(self) -> bool:
        """Judge the head; return whether the body is wanted: if not, this has been answered.

        Raises:
            SenderError, Unavailable: it is refused.
            ConnectionError: nobody can tell who calls, for the caller is gone.
        """
        route, head = self._route, self._visit.head
        if head.old and "Transfer-Encoding" in head.headers:
            raise MalformedRequest(_OLD_CHUNKS)
        if route is None:
            self._end(self._probe(head), Ended("probed"))
            return False
        if head.method != "POST":
            if head.method not in _READS:
                raise MethodNotAllowed("TMS sends webhooks with POST.", allow="GET, HEAD, POST")
            self._end(_LOOKED, Ended("looked"))
            return False
        return self._let_in(route, head)

    def _probe(self, head: Head) -> Answer:
        if head.path not in PROBES:
            self._caller = self._stranger(head)
            raise UnknownPath(_slip(head.path) + _NO_PATH)
        if head.method not in _READS:
            raise MethodNotAllowed("Probes are read with GET.", allow="GET, HEAD")
        return self._desk.health.probe(head.path)

    def _stranger(self, head: Head) -> Caller:
        """Return who asks for what is not there, so that TMS with a slip in its URL shows its address."""
        client = self._desk.client
        try:
            address = str(client.find(self._connection.origin, client.told(head.headers)))
        except Unreadable:
            address = ""
        return Caller(address, "", "on the list of no source", held=False, detail="")

    def _let_in(self, route: Route, head: Head) -> bool:
        desk, connection, peer = self._desk, self._connection, self._visit.peer
        if not peer:
            # The kernel forgets the address of a caller who hung up before being accepted; that is no
            # address on no list.
            raise ConnectionResetError
        caller = self._caller = route.door.judge(connection.origin, head.headers, connection.certified)
        if (caller.unlisted or not caller.credential) and self._turn_away(route, caller):
            return False
        if not connection.proved:
            connection.prove()
        check_framing(head.headers, desk.http.max_body_bytes)
        if not desk.in_flight.enter(route.source):
            raise Unavailable(_TOO_MANY)
        self._counted = True
        desk.deadlines.add(self)
        if "Expect" in head.headers and not head.old:
            connection.write(CONTINUE)
        return True

    def _turn_away(self, route: Route, caller: Caller) -> bool:
        """Refuse whoever is not both listed and right, the later the more wrong credentials they have shown.

        Over the allowance the answer is the same whatever was shown. A source that holds what comes from new
        addresses would tell guessers from anywhere what is right, so there they have two guesses.

        Raises:
            Throttled, AddressRefused, Unauthorized: they are refused at once.
        """
        desk, address = self._desk, caller.client or self._visit.peer
        loop = desk.deadlines.loop
        if (throttled := desk.throttle.refusal(address, loop.time())) is not None:
            raise throttled
        refusal = route.door.refusal(caller)
        delay_s = 0.0
        if not caller.credential:
            guess = route.door.guess(caller, self._visit.head.headers)
            delay_s = desk.throttle.strike(address, loop.time(), guess)
        if refusal is not None and delay_s:
            loop.call_later(delay_s, self.failed, refusal)
        elif refusal is not None:
            raise refusal
        return refusal is not None

    def take_in(self, body: bytes) -> None:
        """Hand the body to the outbox, whose waiter this is; nothing is awaited, so a retry is no new event.

        Raises:
            Unavailable: there is no room for it.
        """
        route, desk = self._route, self._desk
        caller = self._caller
        if route is None or caller is None:
            raise RuntimeError("a body before its head was judged")
        digest = ingest.digest(route.source, route.trigger, body)
        if desk.outbox.join(digest, self):
            return
        stamp = ingest.Stamp(desk.ids.mint(), desk.now_us(), digest, self._visit.traceparent)
        try:
            self._message, decoded, kind = ingest.understand_in_full(body, route.rules, stamp)
        except Undecodable as error:
            desk.observations.note(body, route.rules, None, stamp.received_at_us)
            self._message = ingest.quarantined(body, route.rules, stamp, error)
            desk.outbox.quarantine(self._message, self)
            return
        self._remark, self._unread = ingest.remark(decoded), decoded.reading.unread
        desk.observations.note(body, route.rules, kind, stamp.received_at_us)
        if caller.held:
            self._message = _held(self._message, caller)
            desk.outbox.hold(self._message, self)
        else:
            desk.outbox.take(self._message, self)

    # What the outbox and the clock say

    def durable(self, receipt: Receipt) -> None:
        """Answer 2xx, unless it is too late or the caller has gone: then a retry must be recognised."""
        answered = False
        if not self.over:
            try:
                answered = self._confirm(receipt)
            except Exception as error:  # noqa: BLE001 - a defect must not cost the caller its answer; counted
                self.failed(error)
        if not answered:
            self._desk.outbox.unanswered(receipt)

    def quarantined(self, row_id: str) -> None:
        """Answer 422."""
        reason = self._message.reason if self._message is not None else ""
        if not self.over:
            error = Undecodable(_NO_EVENT.format(reason=_ended(reason)), quarantine_id=row_id)
            self._refuse(error, reason, row_id)

    def failed(self, error: Exception) -> None:
        """Refuse, whatever went wrong; nobody is left to answer where the caller is gone."""
        if self.over:
            return
        if isinstance(error, ConnectionError):
            self._end(None, Ended("aborted"))
        elif isinstance(error, OutboxError):
            self._refuse(Unavailable(f"The outbox cannot take the event: {error}"))
        else:
            if not isinstance(error, SenderError | Unavailable):
                self._desk.log.defect(self._visit, error)
            self._refuse(error, self._caller.detail if self._caller is not None else "")

    def expire(self) -> None:
        """Its moment has come: answer 503, or tell whoever waits for the body that it is too slow."""
        if self._content.is_eof():
            self.failed(Unavailable(TOO_LATE))
        else:
            self._content.set_exception(BodyTimeout(TOO_SLOW))

    # The answer

    def _confirm(self, receipt: Receipt) -> bool:
        """Answer 2xx; return whether it was handed to a connection that is still open."""
        desk, message = self._desk, self._message
        routing_key = receipt.routing_key
        status, entity = routing_key.rpartition(".")[2], ""
        if message is not None:
            routing_key, status, entity = message.routing_key, message.status, message.entity
        outcome = "accepted"
        if not receipt.routing_key or (self._caller is not None and self._caller.held):
            outcome = "held"
        elif receipt.first is not None:
            outcome = "duplicate"
        body = _encode(Accepted(receipt.id, outcome, routing_key, desk.outbox.durable))
        answer = Answer(desk.http.success_status, body)
        said, unread = self._remark, self._unread
        return self._end(
            answer, Ended(outcome, said, receipt.id, status, routing_key, entity, taken=True, unread=unread)
        )

    def _refuse(self, error: Exception, detail: str = "", row_id: str = "") -> None:
        outcome = kind_of(error).slug
        if isinstance(error, AddressRefused) and self._caller is not None and self._caller.credential:
            outcome = UNLISTED_VALID
        answer = answer_problem(error, self._visit.request_id)
        self._end(answer, Ended(outcome, detail or str(error), row_id))

    def _end(self, answer: Answer | None, ended: Ended) -> bool:
        """Write the answer, count and log; return whether an open connection has taken all of it."""
        desk, visit, answered, http_status = self._desk, self._visit, False, _GONE
        self.over = True
        if self._counted:
            desk.in_flight.leave(visit.source)
            desk.deadlines.discard(self)
        if answer is not None:
            ends = answer.refusal or desk.health.stopping or self._connection.outstayed
            self.stays = not ends and visit.head.keep_alive and self._content.is_eof()
            http_status = answer.status
            answered = self._connection.answer(answer, visit.head, visit.request_id, keep_alive=self.stays)
        try:
            desk.log.write(visit, self._caller, ended, http_status, answered=answered)
        except Exception as error:  # noqa: BLE001 - it is answered already, and others wait; recorded
            desk.log.defect(visit, error)
        if self._told is not None and not self._told.done():
            self._told.set_result(None)
        return answered

    async def ended(self) -> None:
        """Wait until this is over."""
        if not self.over:
            self._told = asyncio.get_running_loop().create_future()
            await self._told


def _held(message: Message, caller: Caller) -> Message:
    """Say with the event why it is held: the address is what an operator decides by."""
    place = f"the address {caller.client}" if caller.client else "an address that cannot be determined"
    return msgspec.structs.replace(message, reason=f"right credentials from {place}, which is not listed")
