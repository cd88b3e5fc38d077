"""What bounds one webhook and all of them: framing and size, how many there may be, and when one is too late.

Framing is judged from headers alone, then the body is read up to a limit and a moment. One timer serves all
deadlines: `asyncio.timeout` would start and stop one for each webhook, though next to none ever goes off.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from aiohttp import StreamReader, web
from multidict import CIMultiDictProxy

from tms_bridge.auth.client import Headers
from tms_bridge.errors import BodyTooLarge, EncodedBody, ExpectationUnknown, MalformedRequest

_NO_ENCODING: Final = frozenset({"", "identity"})
"""`identity` is the registered word for no encoding at all."""

_FRAMINGS: Final = frozenset({"", "chunked"})
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What is sent to a sender that waits to be asked for its body."""

_MALFORMED: Final = "The body is not framed as its headers say; send it again."


def check_framing(headers: CIMultiDictProxy[str], limit: int) -> None:
    """Refuse by its headers a body that is compressed, too long, or sent under unknown expectations."""
    if "Content-Encoding" in headers and _names_other(headers, "Content-Encoding", _NO_ENCODING):
        raise EncodedBody("Send the body as it is, without a Content-Encoding.")
    if "Transfer-Encoding" in headers and _names_other(headers, "Transfer-Encoding", _FRAMINGS):
        raise EncodedBody("Send the body as it is or chunked, without another Transfer-Encoding.")
    length = headers.get("Content-Length")
    if length is not None and int(length) > limit:
        raise too_large(limit)
    expectation = headers.get("Expect")
    if expectation is not None and expectation.strip().lower() != "100-continue":
        raise ExpectationUnknown(
            "The only expectation known here is 100-continue; leave the Expect header out."
        )


def _names_other(headers: Headers, name: str, known: frozenset[str]) -> bool:
    return any(
        word.strip().lower() not in known for line in headers.getall(name, []) for word in line.split(",")
    )


def too_large(limit: int) -> BodyTooLarge:
    """Return the refusal of a body over the limit."""
    return BodyTooLarge(f"A body may have {limit} bytes (http.max_body_bytes); this one is longer.")


def whole_body(content: StreamReader, limit: int) -> bytes:
    """Return a body that has come to its end.

    Raises:
        BodyTooLarge: it is over the limit.
        MalformedRequest: its chunks are not what RFC 9112 describes.
    """
    try:
        body = content.read_nowait(-1)
    except web.RequestPayloadError:
        raise MalformedRequest(_MALFORMED) from None
    if len(body) > limit:
        raise too_large(limit)
    return body


async def read_body(content: StreamReader, limit: int) -> bytes:
    """Read the whole body.

    Raises:
        BodyTooLarge: it went over the limit; what follows is left unread.
        BodyTimeout: the call expired before it was complete.
        MalformedRequest: its chunks are not what RFC 9112 describes.
        ConnectionError: the caller went away.
    """
    body = bytearray()
    try:
        while chunk := await content.readany():
            body += chunk
            if len(body) > limit:
                raise too_large(limit)
    except web.RequestPayloadError:
        raise MalformedRequest(_MALFORMED) from None
    return bytes(body)


_NEVER: Final = float("inf")
_MARGIN: Final = 0.05
"""Of a deadline: what it takes to say that it has passed."""

TOO_SLOW: Final = "The body was not complete within the deadline (http.deadline_s); send it again."
TOO_LATE: Final = "The event could not be made durable within http.deadline_s; try again."


class _Timed(Protocol):
    """Something with a time limit."""

    @property
    def moment(self) -> float:
        """When it is over, on the event loop's clock."""
        ...

    def expire(self) -> None:
        """Be told that it is over."""
        ...


class Deadlines:
    """The waits that have a limit just now."""

    def __init__(self, deadline_s: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.patience_s = deadline_s * (1 - _MARGIN)
        """How long whatever begins now may take."""
        self._waits: set[_Timed] = set()
        self._due = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def add(self, wait: _Timed) -> None:
        """Watch a wait."""
        self._waits.add(wait)
        if wait.moment < self._due:
            self._set(wait.moment)

    def discard(self, wait: _Timed) -> None:
        """Watch it no more; the timer stays, for the next one needs it."""
        self._waits.discard(wait)

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = moment
        self._timer = self.loop.call_at(moment, self._expire)

    def _expire(self) -> None:
        self._timer, self._due = None, _NEVER
        now = self.loop.time()
        for wait in [wait for wait in self._waits if wait.moment <= now]:
            self._waits.discard(wait)
            wait.expire()
        if self._waits:
            self._set(min(wait.moment for wait in self._waits))


class InFlight:
    """Counts the webhooks that are being taken in, and keeps to each source its part of what may be.

    As with what is stored, half of the limit is shared out evenly among the sources that are configured, and
    the other half is for whoever comes first.
    """

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._of: Counter[str] = Counter()
        self._sources: Sequence[str] = ()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def share_among(self, sources: Iterable[str]) -> None:
        """Keep to each of these its part."""
        self._sources = tuple(sources)

    def shares(self) -> dict[str, int]:
        """Return how many each source has, also one that has none."""
        return {source: self._of[source] for source in self._sources}

    def enter(self, source: str) -> bool:
        """One of this source begins; False: there is no room for it."""
        if 2 * self.count >= self._limit:  # at most half is ever kept for others
            part = self._limit // (2 * len(self._sources)) if self._sources else 0
            kept = sum(max(0, part - self._of[other]) for other in self._sources if other != source)
            if self.count + kept >= self._limit:
                return False
        if not self.count:
            self._quiet.clear()
        self.count += 1
        self._of[source] += 1
        return True

    def leave(self, source: str) -> None:
        """One has been answered, or will not be."""
        self.count -= 1
        self._of[source] -= 1
        if not self.count:
            self._quiet.set()

    async def none(self) -> None:
        """Wait until every one that has begun is over."""
        await self._quiet.wait()
