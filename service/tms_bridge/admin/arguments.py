"""What a call may say in path, query and body, each checked before it goes any further."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from aiohttp import StreamReader, web

from tms_bridge.errors import BodyTooLarge, EncodedBody, InvalidQuery, MalformedRequest
from tms_bridge.outbox.operators import PAGE_ROWS
from tms_bridge.outbox.queries import PAGE_BYTES
from tms_bridge.outbox.rows import MAX_SEQ, State

_MAX_LINE: Final = 32 * 1024 * 1024


def number(request: web.Request, name: str, default: int, *, most: int = MAX_SEQ) -> int:
    """Return a whole number of the query.

    Raises:
        InvalidQuery: it is none, or too large.
    """
    text = request.query.get(name, str(default))
    digits = text.lstrip("0") or "0"
    if not (text.isascii() and text.isdigit() and len(digits) <= len(str(most)) and int(digits) <= most):
        raise InvalidQuery(f"{name} is a whole number from 0 to {most}.")
    return int(digits)


def word(request: web.Request, name: str, words: Sequence[str]) -> str:
    """Return a word of the query; empty where it is not there.

    Raises:
        InvalidQuery: it is none of these.
    """
    text = request.query.get(name, "")
    if name in request.query and text not in words:
        raise InvalidQuery(f"{name} is one of {', '.join(words)}.")
    return text


def chosen(request: web.Request, states: Sequence[State]) -> Sequence[State]:
    """Return the state that the query names, of these; all of them where it names none."""
    name = word(request, "state", states)
    return (State(name),) if name else states


def row_id(request: web.Request) -> str:
    """Return the id in the path."""
    return request.match_info["id"]


async def pages(request: web.Request) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a body, a bounded number of bytes at a time, so that its size does not matter.

    Raises:
        BodyTooLarge: a line is longer than any of an export.
        EncodedBody: it is compressed.
        MalformedRequest: it ended before its end.
    """
    if "Content-Encoding" in request.headers:
        raise EncodedBody("Send the lines as they are, without a Content-Encoding.")
    try:
        async for page in _pages(request.content):
            yield page
    except web.RequestPayloadError as error:
        raise MalformedRequest(f"The body cannot be read to its end: {error}") from error


async def _pages(content: StreamReader) -> AsyncIterator[list[bytes]]:
    page: list[bytes] = []
    begun: list[bytes] = []  # the parts of a line whose end has not come yet
    size = begun_bytes = 0
    async for chunk in content.iter_any():
        size += len(chunk)
        first, *others = chunk.split(b"\n")
        begun.append(first)
        begun_bytes += len(first)
        if others:
            page += [b"".join(begun), *others[:-1]]
            begun, begun_bytes = [others[-1]], len(others[-1])
        if begun_bytes > _MAX_LINE:
            raise BodyTooLarge("A line is longer than any line of an export can be.")
        if page and (size >= PAGE_BYTES or len(page) >= PAGE_ROWS):
            yield page
            page, size = [], begun_bytes
    yield [*page, b"".join(begun)]
