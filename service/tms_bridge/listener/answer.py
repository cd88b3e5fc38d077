"""An answer as the bytes that leave, in one write, so that whoever sends it knows when it was handed over.

aiohttp's own responses cost more than all the rest of a webhook's answer, and their write cannot be told
apart from their preparation; the retry recognition needs that moment exactly.
"""

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
