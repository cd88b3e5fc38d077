"""aiohttp's low-level server, kept from answering, logging or draining on its own."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import ClassVar, Final, Protocol

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from tms_bridge.errors import MalformedRequest
from tms_bridge.listener.answer import CLOSE, Answer, Sent, answer_problem, head_of, send
from tms_bridge.listener.marks import mark

KEEP_ALIVE_S: Final = 75.0
"""How long an idle connection stays; also the most that request headers may take."""

READ_BYTES: Final = 65_536
"""What a connection may buffer before its body is asked for, times two."""

LINGER_S: Final = 1.0
"""How long a refused caller has to read the answer before the close makes the kernel reset the connection."""

_MALFORMED: Final = MalformedRequest(
    "The bytes are no HTTP/1.1 request, or a header is too long; send one as RFC 9112 describes."
)

HEAD_END: Final = b"\r\n\r\n"
_LOOK_EVERY_S: Final = 0.05
_CALLER_OPEN: Final = frozenset({1, 4, 5})
"""Linux's numbers of ESTABLISHED, FIN_WAIT1 and FIN_WAIT2."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

RequestFactory = Callable[
    [RawRequestMessage, StreamReader, web.RequestHandler, AbstractStreamWriter, "asyncio.Task[None]"],
    web.BaseRequest,
]

NoteMalformed = Callable[[str, str, str], None]
"""Takes the peer, the request id and what was said to a caller whose bytes no handler has seen."""


class FastPath(Protocol):
    """Takes requests past aiohttp."""

    def take(self, data: bytes, connection: "Connection") -> bool:
        """Take exactly one request, to be answered with `Connection.answer`; False: nothing was done."""
        ...


class Connection(web.RequestHandler):
    """One connection; what is no HTTP gets a problem as its answer, and no traceback in the log."""

    __slots__ = ("_behind", "_fast_path", "_fed", "_first", "_owing", "_peer")

    _peer: str

    _fast_path: "FastPath | None"

    _owing: bool
    """Whether the fast path owes an answer, or what came behind it has not been gone on with."""

    _behind: bytes
    """What has come behind the request that the fast path has."""

    _fed: int
    """How much aiohttp was given since the last boundary of a request; 0 at a boundary."""

    _first: bytes
    """The first piece of that."""

    @property
    def peername(self) -> str | tuple[str, int] | None:
        """The address at the other end, also once it has hung up: its requests are judged all the same."""
        return (self._peer, 0) if self._peer else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who calls while that can be asked."""
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if name else ""
        self._behind = self._first = b""
        self._owing = False
        self._fed = 0
        self._fast_path = self._manager.fast_path if isinstance(self._manager, Server) else None
        super().connection_made(transport)

    @property
    def remote(self) -> str:
        """The address at the other end, or why it is unknown; empty where nobody can tell."""
        return self._peer

    def data_received(self, data: bytes) -> None:
        """Give a request to the fast path, or else to aiohttp."""
        if self._owing:
            self._keep_behind(data)
            return
        if self._fed == 0:
            if self._fast_path is not None and not self.writing_paused and self._fast_path.take(data, self):
                self._owing = True
                self._next_keepalive_close_time = self._loop.time() + KEEP_ALIVE_S
                return
            self._first = data
        self._fed += len(data)
        super().data_received(data)

    def answer(self, answer: Answer, request_id: str, *, keep_alive: bool) -> bool:
        """Answer what the fast path has taken; return whether a connection that is still open took it."""
        self._owing = bool(self._behind)  # what comes now stays behind that
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(head_of(answer, request_id, "" if keep_alive else CLOSE) + answer.body)
        taken = not transport.is_closing()
        self._next_keepalive_close_time = self._loop.time() + KEEP_ALIVE_S
        if not keep_alive:
            self.force_close()
        elif self._behind:
            self._loop.call_soon(self._catch_up)
        return taken

    def take_head(self, request: web.BaseRequest) -> bytes | None:
        """Note that a request is answered; return its head if it was all that aiohttp has been given.

        Then this is a boundary, and the next request may go to the fast path.
        """
        first, self._first = self._first, b""
        length = request.content_length or 0
        end = first.find(HEAD_END) + len(HEAD_END)
        if end + length != self._fed or "Transfer-Encoding" in request.headers or not _is_strict(first[:end]):
            return None
        self._fed = 0
        return first[:end]

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

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """Resume only what was paused: aiohttp asks for it at every body, which costs a parser's round."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer 400 when the parser refused the bytes, 500 when a handler let an error escape."""
        del message
        request_id = mark(None).request_id
        error = _MALFORMED if status == HTTPStatus.BAD_REQUEST else exc or RuntimeError()
        if error is _MALFORMED and isinstance(self._manager, Server):
            self._manager.note_malformed(request.remote or "", request_id, str(error))
        send(request, answer_problem(error, request_id), request_id, keep_alive=False)
        return Sent(keep_alive=False)


class Server(web.Server):
    """Makes a Connection for each caller."""

    connection: ClassVar[type[Connection]] = Connection

    lingering_s: ClassVar[float] = 0.0
    """How long a body that nobody asked for is read and thrown away once its request is answered."""

    def __init__(
        self,
        handler: Handler,
        note_malformed: NoteMalformed = lambda *_: None,
        fast_path: FastPath | None = None,
        request_factory: RequestFactory | None = None,
    ) -> None:
        super().__init__(handler)
        self._build_request = request_factory or super()._make_request
        self._loop = asyncio.get_running_loop()
        self.fast_path = fast_path
        self.note_malformed = note_malformed

    def _make_request(
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
        return self._build_request(message, payload, protocol, writer, task)

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return self.connection(
            self,
            loop=self._loop,
            keepalive_timeout=KEEP_ALIVE_S,
            access_log=None,  # type: ignore[arg-type]  # documented, but not in the signature
            auto_decompress=False,  # a compressed body is refused, not unpacked
            lingering_time=self.lingering_s,
            read_bufsize=READ_BYTES,
        )


async def start(server: web.Server, sockets: list[socket.socket], finish_s: float) -> web.ServerRunner:
    """Serve on these sockets; the runner's `cleanup` closes them and gives requests `finish_s` to finish."""
    runner = web.ServerRunner(server, shutdown_timeout=finish_s)
    await runner.setup()
    for listening in sockets:
        await web.SockSite(runner, listening, backlog=1024).start()
    return runner


async def let_read(request: web.BaseRequest) -> None:
    """Send the end of the stream and wait, without reading, until the caller has had time to see the answer.

    Closing a socket that holds unread bytes makes the kernel reset the connection, and the reset can overtake
    the answer; a sender that reads it closes by itself.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        return
    transport.pause_reading()
    if transport.can_write_eof():
        transport.write_eof()
    clock = asyncio.get_running_loop().time
    until = clock() + LINGER_S
    while clock() < until and _may_still_read(transport):  # noqa: ASYNC110 - the kernel sets no event
        await asyncio.sleep(_LOOK_EVERY_S)


def _is_strict(head: bytes) -> bool:
    """Return whether every line of a head ends in CRLF alone, so that nobody can see its end elsewhere."""
    lines = head.count(b"\r\n")
    return lines > 1 and lines == head.count(b"\n") == head.count(b"\r") and head[:1].isalpha()


def _may_still_read(transport: asyncio.Transport) -> bool:
    """Return whether the caller has not closed its side; unread bytes hide that from all but the kernel."""
    connection = transport.get_extra_info("socket")
    if connection is None or not hasattr(socket, "TCP_INFO"):
        return True
    try:
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return False
    return state[0] in _CALLER_OPEN
