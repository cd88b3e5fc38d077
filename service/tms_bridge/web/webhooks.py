"""The webhook listener: two ways in, one for what has come whole and one for everything else.

Both make a `Call` of a request and lead it through the same steps. The short way does so right after the
parser, without a request object, a task or a future; the long way in aiohttp's task, which may wait for the
body and goes on with the connection afterwards.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter, time
from typing import Final, cast

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from tms_bridge import ingest
from tms_bridge.auth import Throttle
from tms_bridge.auth.client import Client
from tms_bridge.calls import TEST, AnsweredCall
from tms_bridge.errors import InvalidQuery, SenderError, Unavailable, UnknownPath
from tms_bridge.http.answer import Head, SentAnswer, kind_of, let_read
from tms_bridge.http.health import Health
from tms_bridge.http.ids import EventIds, Marks, mark, now_us
from tms_bridge.http.server import Connection
from tms_bridge.ingest import Observations
from tms_bridge.message import Message
from tms_bridge.outbox.contract import Intake, Receipt
from tms_bridge.settings.model import Http
from tms_bridge.web.access_log import AccessLog, Ended, Visit
from tms_bridge.web.intake import Call, Desk
from tms_bridge.web.limits import Deadlines, InFlight, read_body, whole_body
from tms_bridge.web.sources import Routes

_CLOSE: Final = SentAnswer(keep_alive=False)
_KEEP: Final = SentAnswer(keep_alive=True)
_NO_HEAD: Final = Head("", "", CIMultiDictProxy(CIMultiDict()), old=False, keep_alive=False)


class Webhooks:
    """Takes in what TMS sends."""

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        http: Http,
        routes: Routes,
        outbox: Intake,
        health: Health,
        log: AccessLog,
        *,
        observations: Observations | None = None,
        now_us: Callable[[], int] = now_us,
        mark: Callable[[str | None], Marks] = mark,
    ) -> None:
        self._log = log
        self._limit = http.max_body_bytes
        self.in_flight = InFlight(http.max_in_flight)
        self.take_over(routes)
        deadlines = Deadlines(http.deadline_s)
        seen = observations or Observations()
        self._desk = Desk(
            http,
            outbox,
            EventIds(),
            health,
            log,
            self.in_flight,
            deadlines,
            Throttle(),
            Client(http),
            seen,
            now_us,
            mark,
        )

    def take_over(self, routes: Routes) -> None:
        """Judge by these from now on; a reload does it."""
        self._routes = routes
        self.in_flight.share_among(routes.sources)

    def take(self, message: RawRequestMessage, content: StreamReader, connection: Connection) -> None:
        """Answer a request that has come whole: the short way."""
        head = Head(
            message.method,
            message.url.raw_path,
            message.headers,
            not message.version[1],
            not message.should_close,
        )
        call = self._call(connection, head, content)
        try:
            if call.admit():
                call.take_in(whole_body(content, self._limit))
        except Exception as error:  # noqa: BLE001 - a defect must not cost the caller its answer; counted
            call.failed(error)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any other request: the long way."""
        content = request.content
        head = Head(
            request.method,
            request.rel_url.raw_path,
            request.headers,
            not request.version[1],
            request.keep_alive,
        )
        connection = cast("Connection", request.protocol)  # no other server runs this handler
        call = self._call(connection, head, content)
        try:
            if call.admit():
                call.take_in(await read_body(content, self._limit))
        except asyncio.CancelledError:
            call.failed(ConnectionResetError())
            raise
        except Exception as error:  # noqa: BLE001 - as above
            call.failed(error)
        await call.ended()
        if call.stays:
            return _KEEP
        if not content.is_eof():
            await let_read(request)
        return _CLOSE

    def _call(self, connection: Connection, head: Head, content: StreamReader) -> Call:
        route = self._routes.find(head.path)
        marks = self._desk.mark(head.headers.get("traceparent"))
        source, trigger = (route.source, route.trigger) if route is not None else ("", "")
        visit = Visit(
            marks.request_id, perf_counter(), connection.remote, head, source, trigger, marks.traceparent
        )
        return Call(self._desk, connection, visit, content, route)

    def note_refused(self, peer: str, request_id: str, error: SenderError) -> None:
        """Count and log what never became a request, such as a PROXY protocol header that nobody expects."""
        kind = kind_of(error)
        ended = Ended(kind.slug, str(error))
        visit = Visit(request_id, perf_counter(), peer, _NO_HEAD)
        self._log.write(visit, None, ended, kind.status, answered=True)

    def reread(self, message: Message, trigger: str) -> Message:
        """Return the event that a quarantined body is by the rules of now; raises Undecodable."""
        return self._routes.reread(message, trigger)

    async def send_test(self, source: str, trigger: str, status: str, address: str) -> str:
        """Take in an event that only tries the way, for an operator at an address; return its id once safe.

        From the outbox on it goes the way of a real one, marked as a test on the bus and in every list.

        Raises:
            UnknownPath: there is no such source.
            InvalidQuery: the trigger has no such status.
            Unavailable: there is no room for it, or it could not be made durable.
        """
        desk, route = self._desk, self._routes.of(source, trigger)
        if route is None:
            raise UnknownPath(f"There is no source {source} with a trigger {trigger}.")
        if status not in route.rules.routing_keys:
            raise InvalidQuery(f"status is one of {', '.join(route.rules.routing_keys)}.")
        marks, event_id = desk.mark(None), desk.ids.mint()
        digest = ingest.digest(source, trigger, event_id.encode())
        stamp = ingest.Stamp(event_id, desk.now_us(), digest, marks.traceparent)
        trial = _Trial(desk, marks.request_id, ingest.trial(route.rules, status, stamp), address)
        desk.outbox.take(trial.message, trial)
        await trial.safe
        return event_id

    async def finish(self) -> None:
        """Wait until every webhook that has begun is answered."""
        await self.in_flight.none()


class _Trial:
    """Waits for a test event to be durable, and lists it like a call."""

    def __init__(self, desk: Desk, request_id: str, message: Message, address: str) -> None:
        self.message = message
        self.safe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._desk, self._request_id, self._address = desk, request_id, address
        self._at, self._started = time(), perf_counter()

    def durable(self, _receipt: Receipt) -> None:
        message = self.message
        call = AnsweredCall(
            at=self._at,
            request_id=self._request_id,
            method="",
            path="",
            http_status=self._desk.http.success_status,
            outcome=TEST,
            duration_ms=round((perf_counter() - self._started) * 1000, 3),
            source=message.source,
            trigger=message.trigger,
            address=self._address,
            id=message.id,
            status=message.status,
            entity=message.entity,
            routing_key=message.routing_key,
        )
        # At once, for the relay tells next what becomes of it.
        self._desk.log.note(call, message.traceparent)
        if not self.safe.done():
            self.safe.set_result(None)

    def quarantined(self, row_id: str) -> None:
        """Never called: it is an event."""

    def failed(self, error: Exception) -> None:
        if not self.safe.done():
            self.safe.set_exception(Unavailable(f"The outbox cannot take the event: {error}"))
