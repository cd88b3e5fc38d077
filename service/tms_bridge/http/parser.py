"""aiohttp's parser, kept to the bytes that a head may have."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from aiohttp import StreamReader
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD

MAX_HEADERS: Final = 128
"""More fields would cost far more memory than their bytes."""

_LINE_END: Final = 4
"""What a header line has besides its name and value: a colon, a space, CRLF."""

_REQUEST_LINE: Final = len("POST  HTTP/1.1\r\n\r\n")

Message = tuple[RawRequestMessage, StreamReader]
Parsed = tuple[Sequence[Message], bool, bytes]
"""Messages with their payloads, whether the connection is upgraded, and what came behind that."""


class HeadOverBudget(HttpProcessingError):  # noqa: N818 - states the fact
    """A head is longer than it may be."""


class BoundedParser:
    """Feeds aiohttp's parser and counts what an unfinished head has so far.

    Attributes:
        head_bytes: of the head that is unfinished; 0 between heads, and while a body comes.
        head_began: when its first bytes came.
        error: why the bytes were refused, if they were.
    """

    def __init__(self, parser: Any, limit: int, clock: Callable[[], float]) -> None:
        self._parser = parser
        self._feed: Callable[[bytes], Parsed] = parser.feed_data
        self._limit = limit
        self._clock = clock
        self._payload: StreamReader = EMPTY_PAYLOAD
        self.head_bytes = 0
        self.head_began = 0.0
        self.error: HttpProcessingError | None = None

    def feed_data(self, data: bytes) -> Parsed:
        """Parse, in pieces that are no longer than a head may be; nothing more after a refusal."""
        if self.error is not None:
            return (), False, b""
        try:
            return self._feed_all(data)
        except HttpProcessingError as error:
            self.error = error
            raise

    def _feed_all(self, data: bytes) -> Parsed:
        if len(data) <= self._limit:
            return self._feed_piece(data)
        found: list[Message] = []
        for start in range(0, len(data), self._limit):
            messages, upgraded, tail = self._feed_piece(data[start : start + self._limit])
            found += messages
            if upgraded:
                return found, True, tail + data[start + self._limit :]
        return found, False, b""

    def _feed_piece(self, data: bytes) -> Parsed:
        within_body = not self._payload.is_eof()
        try:
            parsed = self._feed(data)
        except BadHttpMessage as error:
            raise HeadOverBudget(message=error.message) if _is_too_long(error) else error from None
        messages = parsed[0]
        if messages:
            self._payload = messages[-1][1]
            if self.head_bytes + len(data) > self._limit:
                for message, _ in messages:
                    self._check(_length_of(message))
            self.head_bytes = 0
        elif data and not within_body:
            if not self.head_bytes:
                self.head_began = self._clock()
            self.head_bytes += len(data)
            self._check(self.head_bytes)
        return parsed

    def _check(self, length: int) -> None:
        if length > self._limit:
            raise HeadOverBudget(message="the head is too long")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def _is_too_long(error: BadHttpMessage) -> bool:
    return isinstance(error, LineTooLong) or "Too many headers" in error.message


def _length_of(message: RawRequestMessage) -> int:
    """Return what a head has at least, for the parser does not keep the spaces around a value."""
    lines = sum(len(name) + len(value) + _LINE_END for name, value in message.raw_headers)
    return lines + len(message.method) + len(message.path) + _REQUEST_LINE
