"""aiohttp's parser, with a look at what it has parsed: the one place that leans on aiohttp's insides.

A `WatchedParser` stands before each connection's parser. It counts the bytes of an unfinished head, and
offers a request that has come whole to the short way, before aiohttp makes a request object and a task of it.
aiohttp keeps private: `RequestHandler._parser`, and what its parser's `feed_data` returns. `unfit` tries both
at the start; where they are not as needed, every request takes the long way, whose heads aiohttp bounds.
Its parser in Python, for machines without the compiled one, keeps what comes behind a full queue of
requests unparsed: that is no head yet.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD

MAX_HEADERS: Final = 128
"""More fields would cost far more memory than their bytes."""

_LINE_END: Final = 4
"""What a header line has besides its name and value: a colon, a space, CRLF."""

_REQUEST_LINE: Final = len("POST  HTTP/1.1\r\n\r\n")
_SAMPLE: Final = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"

Parsed = tuple[Sequence[tuple[RawRequestMessage, StreamReader]], bool, bytes]
"""Requests with their bodies, whether the connection is upgraded, and what came behind that."""

_NOTHING: Final[Parsed] = ((), False, b"")

Offer = Callable[[RawRequestMessage, StreamReader], bool]
"""Takes a request that came alone; False: it is not wanted, and aiohttp goes on with it."""


class HeadOverBudget(HttpProcessingError):  # noqa: N818 - states the fact
    """A head is longer than it may be."""


class Progress:
    """How far a connection has come; stays as it is where the parser cannot be watched.

    Attributes:
        head_bytes: of the head that is unfinished; 0 between heads, and while a body comes.
        head_began: when its first bytes came.
        passed: how many requests went on to aiohttp; whoever answers them counts down.
        error: why the bytes were refused, if they were.
    """

    def __init__(self) -> None:
        self.head_bytes = 0
        self.head_began = 0.0
        self.passed = 0
        self.error: HttpProcessingError | None = None

    def let_go(self) -> None:
        """Parse nothing more, and hold nothing."""


class _Spent:
    """Stands where a parser was of which nothing more is wanted."""

    def feed_data(self, _: bytes) -> Parsed:
        return _NOTHING

    def message_consumed(self) -> None:
        """Do nothing, as aiohttp tells of each request that it takes."""

    def set_upgraded(self, _: bool) -> None:  # noqa: FBT001 - aiohttp's signature
        """Do nothing."""


_SPENT: Final = _Spent()


class WatchedParser(Progress):
    """Stands before aiohttp's parser, and notes the progress."""

    def __init__(self, parser: Any, limit: int, clock: Callable[[], float], offer: Offer) -> None:
        super().__init__()
        self._parser = parser
        self._feed: Callable[[bytes], Parsed] = parser.feed_data
        self._limit = limit
        self._clock = clock
        self._offer = offer
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._within_body = False

    def feed_data(self, data: bytes) -> Parsed:
        """Parse, and offer a request that came alone and whole; nothing more after a refusal."""
        if self.error is not None:
            return _NOTHING
        try:
            parsed = messages, upgraded, _ = self._feed(data)
            if not messages:
                self._note_unfinished(data)
                return parsed
            if self.head_bytes + len(data) > self._limit:
                for message, _ in messages:
                    self._check(_length_of(message))
        except HttpProcessingError as error:
            self.error = HeadOverBudget(message=error.message) if _is_too_long(error) else error
            self.let_go()
            raise self.error from None
        self.head_bytes = 0
        self._payload = payload = messages[-1][1]
        whole = payload.is_eof()
        self._within_body = not whole
        if whole and len(messages) == 1 and not upgraded and self._offer(messages[0][0], payload):
            self._parser.message_consumed()
            return _NOTHING
        self.passed += len(messages)
        return parsed

    def _note_unfinished(self, data: bytes) -> None:
        """Count what came of a head; what comes of a body is its own affair."""
        if self._within_body:
            self._within_body = not self._payload.is_eof()
        elif data and not self._queue_is_full():
            if not self.head_bytes:
                self.head_began = self._clock()
            self.head_bytes += len(data)
            self._check(self.head_bytes)

    def let_go(self) -> None:
        """Parse nothing more, and hold nothing: a parser holds all of the head that it is in.

        It holds the connection, too, which holds it: a cycle, and the collector looks for those now and then.
        """
        self._parser, self._feed, self._offer = _SPENT, _SPENT.feed_data, _take_nothing
        self._payload = EMPTY_PAYLOAD

    def _queue_is_full(self) -> bool:
        longest = getattr(self._parser, "_max_msg_queue_size", 0)  # the compiled parser hides it
        return 0 < longest <= getattr(self._parser, "_msg_in_flight", 0)

    def _check(self, length: int) -> None:
        if length > self._limit:
            raise HeadOverBudget(message="the head is too long")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def _take_nothing(_message: RawRequestMessage, _payload: StreamReader) -> bool:
    return False


def watch(
    connection: web.RequestHandler, limit: int, clock: Callable[[], float], offer: Offer
) -> WatchedParser:
    """Put a watched parser before a connection's own."""
    watched = WatchedParser(connection._parser, limit, clock, offer)  # noqa: SLF001 - see above
    connection._parser = watched  # type: ignore[assignment]  # noqa: SLF001 - it stands in for aiohttp's own
    return watched


def unfit(connection: web.RequestHandler) -> str | None:
    """Return what of aiohttp is not as this needs it, tried on a connection of nobody's; None: it fits."""
    offered: list[tuple[RawRequestMessage, bytes]] = []

    def offer(message: RawRequestMessage, payload: StreamReader) -> bool:
        offered.append((message, payload.read_nowait(-1)))
        return True

    try:
        parsed = watch(connection, len(_SAMPLE), float, offer).feed_data(_SAMPLE)
        (message, body), *more = offered
        version = (message.version.major, message.version.minor)
        head = [message.method, message.url.raw_path, message.should_close, version, message.headers["Host"]]
        seen = [head, len(message.raw_headers), body, more, list(parsed[0]), *parsed[1:]]
    except Exception as error:  # noqa: BLE001 - whatever another version of aiohttp makes of it
        return f"{type(error).__name__}: {error}"
    fits = seen == [["POST", "/a", False, (1, 1), "x"], 2, b"{}", [], [], False, b""]
    return None if fits else f"it parsed {seen}"


def _is_too_long(error: HttpProcessingError) -> bool:
    return isinstance(error, BadHttpMessage) and (
        isinstance(error, LineTooLong) or "Too many headers" in error.message
    )


def _length_of(message: RawRequestMessage) -> int:
    """Return what a head has at least, for the parser does not keep the spaces around a value."""
    lines = sum(len(name) + len(value) + _LINE_END for name, value in message.raw_headers)
    return lines + len(message.method) + len(message.path) + _REQUEST_LINE
