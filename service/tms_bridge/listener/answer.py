"""An answer as the bytes that leave, in one write, so that whoever sends it knows when it was handed over.

aiohttp's own responses cost more than all the rest of a webhook's answer, and their write cannot be told
apart from their preparation; the retry recognition needs that moment exactly.
"""

import asyncio
import socket
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.errors import Undecodable
from tms_bridge.listener.problem import PROBLEM_JSON, headers_of, problem_of

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
CLOSE: Final = "Connection: close\r\n"

LINGER_S: Final = 1.0
"""How long a refused caller has to read the answer before the close makes the kernel reset the connection."""

_LOOK_EVERY_S: Final = 0.05
_CALLER_OPEN: Final = frozenset({1, 4, 5})
"""Linux's numbers of ESTABLISHED, FIN_WAIT1 and FIN_WAIT2."""


_REASONS: Final[Mapping[int, str]] = {status.value: status.phrase for status in HTTPStatus}


class Answer(msgspec.Struct, frozen=True):
    """What is said to the caller; `refusal` closes the connection and leaves what is still to come unread."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = {}
    refusal: bool = False


class Sent(web.StreamResponse):
    """Tells aiohttp that the answer has left already, and whether the connection may go on."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Wait for a caller who does not read its answers, so that they do not pile up in memory.

        The bytes are written; until this returns, aiohttp begins with no other request of the connection.
        """
        if self._keep_alive:
            await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the bytes are written."""


class Farewell(Sent):
    """A last answer to a caller that is still sending."""

    def __init__(self) -> None:
        super().__init__(keep_alive=False)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Give the caller time to read it."""
        await let_read(request)


def answer_problem(error: BaseException, request_id: str) -> Answer:
    """Return the answer that tells of an error."""
    problem = problem_of(error, request_id)
    body = msgspec.json.encode(problem)
    # An undecodable body was read to its end, so the connection may go on.
    refusal = not isinstance(error, Undecodable)
    return Answer(problem.status, body, PROBLEM_JSON, headers_of(error), refusal=refusal)


def send(request: web.BaseRequest, answer: Answer, request_id: str, *, keep_alive: bool) -> bool:
    """Write the whole answer; return whether a connection that is still open has taken it."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return False
    head = head_of(answer, request_id, _connection(request, keep_alive=keep_alive))
    transport.write(head if request.method == "HEAD" else head + answer.body)
    return not transport.is_closing()


def _connection(request: web.BaseRequest, *, keep_alive: bool) -> str:
    if not keep_alive:
        return CLOSE
    return "" if request.version[1] else "Connection: keep-alive\r\n"


def head_of(answer: Answer, request_id: str, connection: str) -> bytes:
    """Return the bytes before the body; `connection` is the line of that header, or nothing."""
    extra = (
        "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items()) if answer.headers else ""
    )
    return (
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}\r\n"
        f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
        f"Date: {_dates.now()}\r\nX-Request-Id: {request_id}\r\n{extra}{connection}\r\n"
    ).encode()


class _Dates:
    """The Date header, formatted once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


_dates = _Dates()


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
