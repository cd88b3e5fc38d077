"""The webhook listener's one line: headers judged, body read, event made durable, answer sent.

Handlers raise; `_answer` alone makes problems of errors. Nothing of a body is read, and no `100 Continue`
sent, before path, method, address, credentials and framing have passed.
"""

from time import perf_counter
from typing import Final

from aiohttp import web

from tms_bridge.errors import (
    MethodNotAllowed,
    OutboxError,
    SenderError,
    Unavailable,
    UnknownPath,
)
from tms_bridge.http.answer import TEXT, Answer, Sent, answer_problem, kind_of, let_read, send
from tms_bridge.http.health import PROBES, Health
from tms_bridge.http.ids import mark
from tms_bridge.http.server import Connection
from tms_bridge.message import Message
from tms_bridge.settings.model import Http
from tms_bridge.web.body import check_framing, let_continue, read_body
from tms_bridge.web.deadlines import TOO_LATE, Deadlines
from tms_bridge.web.fast_path import Desk, FastPath
from tms_bridge.web.in_flight import InFlight
from tms_bridge.web.reception import Reception
from tms_bridge.web.record import Record
from tms_bridge.web.route import Route, Routes
from tms_bridge.web.visit import Visit

_UNUSUAL: Final = ("Expect", "Upgrade", "traceparent", "tracestate", "X-Request-Id", "Date")
"""Headers that mean more than the body alone, or differ each time."""

_READS: Final = ("GET", "HEAD")
_CLOSE: Final = Sent(keep_alive=False)
_KEEP: Final = Sent(keep_alive=True)


_LOOKED: Final = Answer(
    200, b"TMS Bridge is here. TMS sends its webhooks to this URL with POST; nothing is wrong.\n", TEXT
)
_GONE: Final = Answer(499, b"", refusal=True)
"""What the log calls an answer that nobody was there for."""

_NO_PATH: Final = (
    "There is no such path or source. Webhook URLs end in /webhooks/SOURCE/course-assignment-changed or "
    "/webhooks/SOURCE/class-changed; `tms-bridge tms-settings --source SOURCE` prints them."
)


class Webhooks:
    """Takes in what TMS sends."""

    def __init__(
        self, http: Http, routes: Routes, reception: Reception, health: Health, record: Record
    ) -> None:
        self._routes = routes
        self._http = http
        self._reception = reception
        self._health = health
        self._record = record
        self._deadlines = Deadlines(http.deadline_s)
        self.in_flight = InFlight(http.max_in_flight)
        self.fast_path = FastPath(
            Desk(http.success_status, reception, health, record, self.in_flight, self._deadlines)
        )

    def take_over(self, routes: Routes) -> None:
        """Judge by these from now on; a reload does it."""
        self._routes = routes
        self.fast_path.forget()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request in full."""
        marks = mark(request.headers.get("traceparent"))
        visit = Visit(marks.request_id, marks.traceparent, perf_counter(), request.remote or "")
        routes = self._routes
        answer = await self._answer(request, visit)
        keep_alive = self._may_go_on(request, answer)
        self._send(request, answer, visit, keep_alive=keep_alive)
        self._record.write(visit, answer.status, perf_counter())
        if keep_alive:
            if routes is self._routes:  # no reload has come in between
                self._remember(request, visit)
            return _KEEP
        if not request.content.is_eof():
            await let_read(request)
        return _CLOSE

    def note_refused(self, peer: str, request_id: str, error: SenderError) -> None:
        """Count and log what never became a request, such as a PROXY protocol header that nobody expects."""
        now = perf_counter()
        kind = kind_of(error)
        visit = Visit(request_id, "", now, peer, outcome=kind.slug, detail=str(error))
        self._record.write(visit, kind.status, now)

    def reread(self, message: Message, trigger: str) -> Message:
        """Return the event that a quarantined body is by the rules of now; raises Undecodable."""
        return self._routes.reread(message, trigger)

    async def finish(self) -> None:
        """Wait until every webhook that has begun is answered."""
        await self.in_flight.none()

    def _remember(self, request: web.BaseRequest, visit: Visit) -> None:
        """Let the next request with this head go by the fast path, if nothing in it differs each time."""
        connection = request.protocol
        head = connection.take_head(request) if isinstance(connection, Connection) else None
        if head is None or visit.receipt is None or visit.held or not _is_usual(request):
            return
        route = self._routes.find(request.rel_url.raw_path)
        if route is not None:
            self.fast_path.learn(head, request.content_length or 0, route, visit)

    def _may_go_on(self, request: web.BaseRequest, answer: Answer) -> bool:
        return (
            not (answer.refusal or self._health.stopping)
            and request.keep_alive
            and request.content.is_eof()
            and not (isinstance(request.protocol, Connection) and request.protocol.expired)
        )

    def _send(self, request: web.BaseRequest, answer: Answer, visit: Visit, *, keep_alive: bool) -> None:
        """Write the answer; an event counts as answered only where an open connection took all of it."""
        visit.answered = send(request, answer, visit.request_id, keep_alive=keep_alive)
        if visit.receipt is not None and not visit.answered:
            self._reception.unanswered(visit.receipt)

    async def _answer(self, request: web.BaseRequest, visit: Visit) -> Answer:
        try:
            return await self._dispatch(request, visit)
        except (SenderError, Unavailable) as error:
            return _refuse(visit, error)
        except OutboxError as error:
            return _refuse(visit, Unavailable(f"The outbox cannot take the event: {error}"))
        except ConnectionError:
            visit.outcome, visit.answered = "aborted", False
            return _GONE
        except Exception as error:  # noqa: BLE001 - a defect must not cost the caller its answer; counted
            self._record.defect(visit, error)
            return _refuse(visit, error)

    async def _dispatch(self, request: web.BaseRequest, visit: Visit) -> Answer:
        path = request.rel_url.raw_path
        route = self._routes.find(path)
        if route is None:
            return self._no_webhook(request, visit, path)
        visit.source, visit.trigger = route.source, route.trigger
        if request.method == "POST":
            return await self._post(request, route, visit)
        if request.method not in _READS:
            raise MethodNotAllowed("TMS sends webhooks with POST.", allow="GET, HEAD, POST")
        visit.outcome = "looked"
        return _LOOKED

    def _no_webhook(self, request: web.BaseRequest, visit: Visit, path: str) -> Answer:
        if path not in PROBES:
            raise UnknownPath(_NO_PATH)
        if request.method not in _READS:
            raise MethodNotAllowed("Probes are read with GET.", allow="GET, HEAD")
        visit.outcome = "probed"
        return self._health.probe(path)

    async def _post(self, request: web.BaseRequest, route: Route, visit: Visit) -> Answer:
        until = self._deadlines.next()
        if not visit.peer:
            # The kernel forgets the address of a caller who hung up before being accepted; that is no
            # address on no list.
            raise ConnectionResetError
        route.door.admit(visit, request.headers)
        if isinstance(request.protocol, Connection):
            request.protocol.prove()
        check_framing(request, self._http.max_body_bytes)
        if self.in_flight.full:
            raise Unavailable("Too many webhooks are being taken in at once (http.max_in_flight); try again.")
        self.in_flight.enter()
        try:
            let_continue(request)
            body = await read_body(request.content, self._http.max_body_bytes, until)
            with self._deadlines.until(until):
                return Answer(self._http.success_status, await self._reception.take(route, body, visit))
        except TimeoutError:
            raise Unavailable(TOO_LATE) from None
        finally:
            self.in_flight.leave()


def _is_usual(request: web.BaseRequest) -> bool:
    """Return whether a head may come again, and means no more than its body."""
    return request.version[1] == 1 and not any(name in request.headers for name in _UNUSUAL)


def _refuse(visit: Visit, error: Exception) -> Answer:
    visit.outcome = visit.outcome or kind_of(error).slug
    visit.detail = visit.detail or str(error)
    return answer_problem(error, visit.request_id)
