"""An answer as the bytes that leave, in one write, and every error as an RFC 9457 problem.

aiohttp's own responses cost more than all the rest of a webhook's answer, and their write cannot be told
apart from their preparation; the retry recognition needs that moment exactly. One kind of problem stands for
one error class, with a `type` that stays as it is.
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
from multidict import CIMultiDictProxy

from tms_bridge import errors
from tms_bridge.errors import Undecodable

PROBLEM_JSON: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is not a success; `detail` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    quarantine_id: str = ""


class ProblemKind(msgspec.Struct, frozen=True):
    """What is the same in every problem of a kind; `slug` also names its outcome in metrics and logs."""

    slug: str
    title: str
    status: int

    @property
    def type(self) -> str:
        """The identifier that callers may compare; it is no address to fetch."""
        return "urn:tms-bridge:problem:" + self.slug.replace("_", "-")


INTERNAL: Final = ProblemKind("internal_error", "Internal error", 500)

KINDS: Final[Mapping[type[errors.BridgeError], ProblemKind]] = {
    errors.MalformedRequest: ProblemKind("malformed_request", "Malformed request", 400),
    errors.Unauthorized: ProblemKind("unauthorized", "Credentials missing or wrong", 401),
    errors.InvalidQuery: ProblemKind("invalid_query", "Parameter or line not usable", 400),
    errors.Forbidden: ProblemKind("forbidden", "Not for this caller", 403),
    errors.AddressRefused: ProblemKind("unlisted_address", "Client address not allowed", 403),
    errors.UnknownPath: ProblemKind("unknown_path", "No such path", 404),
    errors.MethodNotAllowed: ProblemKind("method_not_allowed", "Method not allowed", 405),
    errors.HeadTimeout: ProblemKind("head_timeout", "Head not complete in time", 408),
    errors.Throttled: ProblemKind("throttled", "Too many wrong credentials", 429),
    errors.HeadTooLarge: ProblemKind("head_too_large", "Head too large", 431),
    errors.BodyTimeout: ProblemKind("timeout", "Body not complete in time", 408),
    errors.BodyTooLarge: ProblemKind("too_large", "Body too large", 413),
    errors.EncodedBody: ProblemKind("encoded_body", "Content-Encoding not accepted", 415),
    errors.ExpectationUnknown: ProblemKind("unknown_expectation", "Expectation not known", 417),
    errors.Undecodable: ProblemKind("quarantined", "Not an event of this trigger", 422),
    errors.Unavailable: ProblemKind("unavailable", "Cannot make the event durable now", 503),
    errors.RowMissing: ProblemKind("not_found", "No such row", 404),
    errors.RowBusy: ProblemKind("in_flight", "In flight to the broker", 409),
    errors.RowUnfit: ProblemKind("wrong_state", "Not in this state", 409),
}

_OPERATORS: Final = (
    errors.InvalidQuery,
    errors.Forbidden,
    errors.RowMissing,
    errors.RowBusy,
    errors.RowUnfit,
)
"""What only the admin listener answers."""

UNLISTED_VALID: Final = "unlisted_address_valid_credentials"
"""Outcome and log event of the special signal that the vendor has moved."""

OUTCOMES: Final = (
    *("accepted", "duplicate", "held", "aborted", "looked", "probed", UNLISTED_VALID, INTERNAL.slug),
    *(kind.slug for error, kind in KINDS.items() if error not in _OPERATORS),
)
"""Whatever can become of a request to the webhook listener."""

_INTERNAL_DETAIL: Final = (
    "The bridge has a defect. Its log says more under this request_id; please try again."
)


def kind_of(error: BaseException) -> ProblemKind:
    """Return the kind of an error; what is not one of ours is an internal error."""
    return KINDS.get(type(error), INTERNAL)  # type: ignore[arg-type]  # other classes are not found, as meant


def problem_of(error: BaseException, request_id: str) -> Problem:
    """Return the body that tells the caller of this error."""
    kind = kind_of(error)
    detail = _INTERNAL_DETAIL if kind is INTERNAL else str(error)
    quarantine_id = error.quarantine_id if isinstance(error, errors.Undecodable) else ""
    return Problem(kind.type, kind.title, kind.status, detail, request_id, quarantine_id)


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers that the status of this error calls for."""
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": error.challenge}
    if isinstance(error, errors.MethodNotAllowed):
        return {"Allow": error.allow}
    if isinstance(error, errors.Unavailable | errors.Throttled):
        return {"Retry-After": str(error.retry_after_s)}
    return {}


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


class Head(msgspec.Struct, frozen=True, gc=False):
    """What a request says before its body.

    Attributes:
        path: as it stood in the request line, without the query.
        old: HTTP/1.0, where a connection that is to stay must say so.
        keep_alive: the caller has more to send on this connection.
    """

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    old: bool
    keep_alive: bool


class SentAnswer(web.StreamResponse):
    """Tells aiohttp that the answer has left already, and whether the connection may go on."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._stays = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Whether the connection goes on."""
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> None:
        """Wait for a caller who does not read its answers, so that they do not pile up in memory.

        The bytes are written; until this returns, aiohttp begins with no other request of the connection.
        """
        if self._stays:
            await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the bytes are written."""


class Farewell(SentAnswer):
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


def bytes_of(answer: Answer, head: Head | None, request_id: str, *, keep_alive: bool) -> bytes:
    """Return all that leaves; `head` is that of the request, where there was one."""
    if not keep_alive:
        connection = CLOSE
    else:
        connection = "Connection: keep-alive\r\n" if head is not None and head.old else ""
    extra = (
        "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items()) if answer.headers else ""
    )
    lines = (
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}\r\n"
        f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
        f"Date: {_dates.now()}\r\nX-Request-Id: {request_id}\r\n{extra}{connection}\r\n"
    ).encode()
    return lines if head is not None and head.method == "HEAD" else lines + answer.body


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
    except (OSError, ValueError):  # the latter is uvloop's word for a socket that is closed
        return False
    return state[0] in _CALLER_OPEN
