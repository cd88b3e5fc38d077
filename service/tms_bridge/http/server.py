"""aiohttp's low-level server, kept from answering, logging or draining on its own."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import ClassVar, Final, NoReturn, cast

from aiohttp import StreamReader, web
from aiohttp import __version__ as aiohttp_version
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from tms_bridge.auth.credentials import names_in
from tms_bridge.errors import HeadTimeout, HeadTooLarge, MalformedRequest, SenderError
from tms_bridge.http.answer import Answer, Farewell, Head, answer_problem, bytes_of
from tms_bridge.http.connections import (
    MAX_LIFE_S,
    WRITE_TIMEOUT_S,
    Connections,
    limits_of,
)
from tms_bridge.http.ids import mark
from tms_bridge.http.parser import MAX_HEADERS, HeadOverBudget, Progress, unfit, watch
from tms_bridge.settings.model import Http

_NEVER_S: Final = 1e9
"""aiohttp's own idle time, which `Connections` stands in for."""

READ_BYTES: Final = 65_536
"""What a connection may buffer before its body is asked for, times two."""

_MALFORMED: Final = MalformedRequest("The bytes are not an HTTP/1.1 request; send one as RFC 9112 describes.")
_HEAD_TOO_LARGE: Final = (
    "A head (request line and headers) may have {limit} bytes (http.max_head_bytes) and {headers} headers; "
    "this one has more."
)
_HEAD_TIMEOUT: Final = "The head was not complete within {limit:g} s (http.head_timeout_s); send it again."

_log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

RequestFactory = Callable[
    [RawRequestMessage, StreamReader, web.RequestHandler, AbstractStreamWriter, "asyncio.Task[None]"],
    web.BaseRequest,
]

NoteRefused = Callable[[str, str, SenderError], None]
"""Takes the peer, the request id and what was said to a caller whose bytes no handler has seen."""


Take = Callable[[RawRequestMessage, StreamReader, "Connection"], None]
"""The short way: takes a whole request without a task; its answer leaves by `Connection.answer`."""


def _gone(*_: object) -> NoReturn:
    """End the task that was about to begin with a request: its caller is gone."""
    raise asyncio.CancelledError


class Connection(web.RequestHandler):
    """One connection; what is no HTTP gets a problem as its answer, and no traceback in the log."""

    __slots__ = (
        "_behind",
        "_clock",
        "_connections",
        "_ending",
        "_held",
        "_made",
        "_owing",
        "_peer",
        "_server",
        "_unread_since",
        "_watched",
        "_wire",
        "certified",
        "origin",
        "progressed",
        "proved",
        "remote",
    )

    _wire: asyncio.Transport
    """The transport, which aiohttp forgets when it begins to close."""

    _owing: bool
    """Whether the short way owes an answer, or what came behind it has not been gone on with."""

    _behind: bytes
    """What has come behind the request that the short way has."""

    _ending: bool
    """The answer that was sent is the last one."""

    _held: bool
    """Reading is paused, because a body is not asked for yet."""

    def __init__(self, server: "Server") -> None:
        limits = server.open.limits
        super().__init__(
            server,
            loop=server.loop,
            keepalive_timeout=_NEVER_S,
            access_log=None,  # type: ignore[arg-type]  # documented, but not in the signature
            auto_decompress=False,  # a compressed body is refused, not unpacked
            lingering_time=server.lingering_s,
            read_bufsize=READ_BYTES,
            max_line_size=limits.max_head_bytes,
            max_field_size=limits.max_head_bytes,
            max_headers=MAX_HEADERS,
        )
        self._server = server
        self._connections = server.open
        self._clock = server.loop.time
        self._watched = (
            watch(self, limits.max_head_bytes, self._clock, self._offer) if server.fits else Progress()
        )
        self._peer = self.remote = self.origin = ""
        self.certified = names_in(None)
        self._behind = b""
        self._owing = self._ending = self._held = False
        self._unread_since = 0.0
        self._made = self.progressed = self._clock()
        self.proved = False

    @property
    def peername(self) -> str | tuple[str, int] | None:
        """The address at the other end, also once it has hung up: its requests are judged all the same."""
        return (self.origin, 0) if self.origin else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who calls while that can be asked, and make room for it."""
        name = transport.get_extra_info("peername")
        self._peer = self.remote = self.origin = str(name[0]) if name else ""
        self.certified = names_in(transport.get_extra_info("peercert"))
        self._wire = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        super().connection_made(transport)
        if not self._connections.enter(self):
            self.cut_off()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its room to others."""
        self._connections.leave(self)
        super().connection_lost(exc)
        # aiohttp would call None for a request that had just come, and log a defect for whoever hangs up.
        self._request_factory = _gone
        self._watched.let_go()

    @property
    def busy(self) -> bool:
        """Whether a request of it is being worked on."""
        return self._owing or self._watched.passed > 0

    @property
    def new(self) -> bool:
        """Whether nothing was answered on it yet."""
        return self.progressed == self._made and not self._wire.is_closing()

    @property
    def outstayed(self) -> bool:
        """Whether it ends with its next answer: it has lived long enough, or asks on with nothing proved."""
        pipelined = not self.proved and self._watched.passed > 1
        return pipelined or self._clock() - self._made > MAX_LIFE_S

    def prove(self) -> None:
        """Right credentials came on it."""
        if not self.proved:
            self.proved = True
            self._connections.prove(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answer a request that aiohttp has, and be idle from then on."""
        if self.outstayed and not resp.prepared:
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        self._ending = not resp.keep_alive
        self._watched.passed = max(0, self._watched.passed - 1)
        self._progress()
        return finished

    def _progress(self) -> None:
        self.progressed = self._clock()
        if not self.proved:
            self._connections.progress(self)

    def pause_writing(self) -> None:
        """The caller does not read: note since when."""
        self._unread_since = self._clock()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The caller reads."""
        self._unread_since = 0.0
        super().resume_writing()

    def look(self, now: float) -> str | None:
        """End it if it has had its time; return the reason if that is a refusal."""
        if self._wire.is_closing() and not self._unread_since:
            self._unread_since = now  # closing waits until the caller has read what it was answered
        if self._unread_since and now - self._unread_since > WRITE_TIMEOUT_S:
            self.cut_off()
            return "write_timeout"
        if self.busy or self._wire.is_closing():
            return None
        limits = self._connections.limits
        began = self.head_began
        if began is not None:
            return self._end_head() if now - began > limits.head_timeout_s else None
        if now - self.progressed > limits.idle_timeout_s:
            self.force_close()
        return None

    @property
    def head_began(self) -> float | None:
        """When the head began that is not complete; None between heads."""
        return self._watched.head_began if self._watched.head_bytes else None

    def cut_off(self) -> None:
        """End it at once, with nothing said."""
        self._wire.abort()

    def _end_head(self) -> str:
        error = HeadTimeout(_HEAD_TIMEOUT.format(limit=self._connections.limits.head_timeout_s))
        request_id = mark(None).request_id
        self._server.note_refused(self.remote, request_id, error)
        answer = answer_problem(error, request_id)
        self.answer(answer, None, request_id, keep_alive=False)
        self.force_close()
        return "head_timeout"

    def data_received(self, data: bytes) -> None:
        """Parse what came, in pieces that are no longer than a head may be; one request at a time."""
        limit = self._connections.limits.max_head_bytes
        if self._owing:
            self._keep_behind(data)
        elif len(data) > limit:
            for start in range(0, len(data), limit):
                self.data_received(data[start : start + limit])
        else:
            super().data_received(data)
            if (error := self._watched.error) is not None:
                error.__traceback__ = None  # its frames hold all that was received

    def _offer(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Give a whole request to the short way, unless others are before it or nobody reads answers."""
        take = self._server.take
        if take is None or self._watched.passed or self._ending or self.writing_paused:
            return False
        self._owing = True
        take(message, payload, self)
        return True

    def answer(self, answer: Answer, head: Head | None, request_id: str, *, keep_alive: bool) -> bool:
        """Write the whole answer; return whether a connection that is still open has taken it."""
        transport, taken, owing = self.transport, False, self._owing
        if owing:
            self._progress()
        if transport is not None and not transport.is_closing():
            transport.write(bytes_of(answer, head, request_id, keep_alive=keep_alive))
            taken = not transport.is_closing()
        if owing:  # the short way has answered: take the next request
            self._owing = bool(self._behind)  # what comes now stays behind that
            if not keep_alive:
                self.force_close()
            elif self._behind:
                self._server.loop.call_soon(self._catch_up)
        return taken

    def write(self, data: bytes) -> None:
        """Send what is no answer yet."""
        if self.transport is not None:
            self.transport.write(data)

    def _keep_behind(self, data: bytes) -> None:
        self._behind += data
        if len(self._behind) > READ_BYTES and self.transport is not None:
            self.transport.pause_reading()

    def _catch_up(self) -> None:
        """Go on with what has come behind the request that was answered."""
        behind, self._behind = self._behind, b""
        self._owing = False
        if self.transport is None:
            return
        if len(behind) > READ_BYTES:
            self.transport.resume_reading()
        self.data_received(behind)

    def pause_reading(self) -> None:
        """Read no more until a body is asked for."""
        self._held = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """Resume only what was paused: aiohttp asks for it at every body, which costs a parser's round."""
        if self._held:
            self._held = False
            super().resume_reading(resume_parser)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer 400 or 431 when the parser refused the bytes, 500 when a handler let an error escape."""
        del request, message
        request_id = mark(None).request_id
        error = self._refusal(exc) if status == HTTPStatus.BAD_REQUEST else exc or RuntimeError()
        if isinstance(error, SenderError):
            self._server.note_refused(self.remote, request_id, error)
        if isinstance(error, HeadTooLarge):
            self._connections.refuse("max_head_bytes")
        self.answer(answer_problem(error, request_id), None, request_id, keep_alive=False)
        return Farewell()

    def _refusal(self, refused: BaseException | None) -> SenderError:
        if isinstance(refused, HeadOverBudget):
            limit = self._connections.limits.max_head_bytes
            return HeadTooLarge(_HEAD_TOO_LARGE.format(limit=limit, headers=MAX_HEADERS))
        return _MALFORMED


class Server(web.Server):
    """Makes a Connection for each caller."""

    connection: ClassVar[type[Connection]] = Connection

    lingering_s: ClassVar[float] = 0.0
    """How long a body that nobody asked for is read and thrown away once its request is answered."""

    def __init__(
        self,
        handler: Handler,
        note_refused: NoteRefused = lambda *_: None,
        take: Take | None = None,
        request_factory: RequestFactory | None = None,
        connections: Connections | None = None,
    ) -> None:
        super().__init__(handler, request_factory=self._make)
        self.loop = asyncio.get_running_loop()
        self._build = request_factory or partial(web.BaseRequest, loop=self.loop)
        self.take = take
        self.note_refused = note_refused
        self.open = Connections(limits_of(Http()), "http") if connections is None else connections
        reason = unfit(web.RequestHandler(self, loop=self.loop))
        if reason is not None:
            _log.error("aiohttp %s does not fit, and costs more: %s", aiohttp_version, reason)
        self.fits = reason is None

    def _make(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        # aiohttp decodes the host of an absolute target outside of any handler, where an error would cost
        # the caller its answer; nothing here reads that host.
        if message.url.absolute:
            message = message._replace(url=message.url.relative())
        return self._build(message, payload, protocol, writer, task)

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return self.connection(self)
