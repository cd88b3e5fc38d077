"""Streams of what has changed: four times a second, and made once for all who follow one.

All who follow wake at the same moment. Whoever comes first looks what has changed, and makes what is told of
it; the others find it made. So a second reader costs a write, and none costs nothing.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, TypeVar, cast

from aiohttp import web
from aiohttp_sse import sse_response

from tms_bridge.admin.context import Watchers
from tms_bridge.calls import CallRow, Calls

TICK_S: Final = 0.25

A_SECOND: Final = round(1 / TICK_S)
"""So many ticks."""

_WRITTEN_WITHIN_S: Final = 10.0
"""Who takes nothing for so long does not read."""

_HEADERS: Final = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
"""A proxy that buffers would show nothing for minutes."""

_DIGITS: Final = 19
_Made = TypeVar("_Made")


class Tick:
    """A quarter of a second, and what was made in it.

    Attributes:
        number: rises by one with each.
        now: when it began, Unix seconds.
        change: the last change to any row that it knows of.
    """

    def __init__(self, calls: Calls, number: int) -> None:
        self.number = number
        self.now = time.time()
        self.change = calls.change
        self._calls = calls
        self._made: dict[Hashable, object] = {}

    def changed(self, after: int) -> Sequence[CallRow]:
        """Return the rows that changed after a change, in order."""
        return self.made(after, lambda: self._calls.since(after, self._calls.max_rows))

    def made(self, name: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return what was made under a name; make it where nobody did yet."""
        if name not in self._made:
            self._made[name] = make()
        return cast("_Made", self._made[name])


class Ticks:
    """The tick of now."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._tick = Tick(calls, 0)

    def current(self) -> Tick:
        """Return the tick of this moment."""
        number = int(time.monotonic() / TICK_S)
        if number != self._tick.number:
            self._tick = Tick(self._calls, number)
        return self._tick

    async def after(self, tick: Tick) -> Tick:
        """Wait until a tick is over; return the one that is then."""
        await asyncio.sleep(max((tick.number + 1) * TICK_S - time.monotonic(), 0.0))
        return self.current()


TICKS: Final = web.AppKey("ticks", Ticks)


def event(name: str, data: str, change: int) -> bytes:
    """Return a server-sent event; its id is the change to go on after."""
    lines = data.replace("\n", "\ndata: ")
    return f"id: {change}\nevent: {name}\ndata: {lines}\n\n".encode()


async def follow(
    request: web.Request,
    watchers: Watchers,
    tell: Callable[[Tick], Iterable[bytes]],
    goodbye: Callable[[], bytes | None],
) -> web.StreamResponse:
    """Send what is told at each tick, for as long as somebody reads; `goodbye` is None until it is over.

    Raises:
        Unavailable: enough others follow.
    """
    ticks = request.app[TICKS]
    with watchers.one():
        async with sse_response(request, sep="\n", headers=_HEADERS) as response:
            tick = ticks.current()
            while request.transport is not None and (last := goodbye()) is None:
                if not await _is_written(response, b"".join(tell(tick))):
                    _let_go(request)
                    return response
                tick = await ticks.after(tick)
            await _is_written(response, last or b"")
    return response


async def _is_written(response: web.StreamResponse, events: bytes) -> bool:
    """Write all in one piece; return whether the reader is still there."""
    try:
        async with asyncio.timeout(_WRITTEN_WITHIN_S):
            if events:
                await response.write(events)
    except OSError:  # it has hung up, or takes nothing
        return False
    return True


def _let_go(request: web.Request) -> None:
    """End a connection at once: what waits for a reader who takes nothing would wait for ever."""
    if request.transport is not None:
        request.transport.abort()


def resumed(request: web.Request, otherwise: str, newest: int) -> int:
    """Return the change to go on after: that of a stream that broke off, or else of the page around it."""
    text = request.headers.get("Last-Event-ID") or otherwise
    return min(int(text), newest) if text.isascii() and text.isdigit() and len(text) < _DIGITS else newest
