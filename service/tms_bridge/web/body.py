"""The body of a webhook: its framing judged from headers alone, then read up to a limit and a moment."""

import asyncio
from typing import Final

from aiohttp import StreamReader, web
from multidict import CIMultiDictProxy

from tms_bridge.auth.client import Headers
from tms_bridge.errors import BodyTimeout, BodyTooLarge, EncodedBody, ExpectationUnknown, MalformedRequest
from tms_bridge.http.answer import Head

_NO_LINES: Final[list[str]] = []
_NO_ENCODING: Final = frozenset({"", "identity"})
"""`identity` is the registered word for no encoding at all."""

_FRAMINGS: Final = frozenset({"", "chunked"})
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What is sent to a sender that waits to be asked for its body."""

_MALFORMED: Final = "The body is not framed as its headers say; send it again."


def check_framing(headers: CIMultiDictProxy[str], limit: int) -> None:
    """Refuse by its headers a body that is compressed, too long, or sent under unknown expectations."""
    if _names_other(headers, "Content-Encoding", _NO_ENCODING):
        raise EncodedBody("Send the body as it is, without a Content-Encoding.")
    if _names_other(headers, "Transfer-Encoding", _FRAMINGS):
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
    lines = headers.getall(name, _NO_LINES)
    return bool(lines) and any(
        word.strip().lower() not in known for line in lines for word in line.split(",")
    )


def expects_continue(head: Head) -> bool:
    """Return whether the sender waits to be asked for its body."""
    return "Expect" in head.headers and not head.old


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


async def read_body(content: StreamReader, limit: int, until: float) -> bytes:
    """Read the whole body; `until` is a moment of the event loop's clock.

    Raises:
        BodyTooLarge: it went over the limit; what follows is left unread.
        BodyTimeout: it was not complete in time.
        MalformedRequest: its chunks are not what RFC 9112 describes.
        ConnectionError: the caller went away.
    """
    if content.is_eof():
        return whole_body(content, limit)
    try:
        async with asyncio.timeout_at(until):
            return await _read_slow_body(content, limit)
    except web.RequestPayloadError:
        raise MalformedRequest(_MALFORMED) from None
    except TimeoutError:
        raise BodyTimeout(
            "The body was not complete within the deadline (http.deadline_s); send it again."
        ) from None


async def _read_slow_body(content: StreamReader, limit: int) -> bytes:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)
