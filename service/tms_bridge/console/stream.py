"""What is live on a page: one stream a page, of ready-made parts, a tick every quarter of a second.

Each event holds HTML from the same macro that made the page. A part is made once for all who see the same.

| event | holds | when |
| --- | --- | --- |
| say | the sentence, its kind and word | it has changed |
| rows | rows that came or changed, the newest last; 20 at most, and one for all others | they have |
| part | the card of the outbox | it has changed, once a second at most |
| quiet | nothing | nothing else came for 15 s |
| bye | words | the session is over, or the bridge stops |
"""

import asyncio
import time
from itertools import count
from typing import Final

import msgspec
from aiohttp import web
from aiohttp_sse import sse_response

from tms_bridge.admin.calls import TICK_S, Filters
from tms_bridge.admin.guard import HOLDER, Holder
from tms_bridge.console.access import holder_of
from tms_bridge.console.cards import box_of
from tms_bridge.console.format import counted
from tms_bridge.console.frame import BOARD, FRAME, Board, Frame, told
from tms_bridge.console.pages import wanted_by
from tms_bridge.console.views import view_of
from tms_bridge.errors import InvalidQuery

ROWS_A_TICK: Final = 20
_QUIET_TICKS: Final = 60
_SLOW_TICKS: Final = 4
"""The sentence and the outbox are looked at every so many ticks."""


class StreamEvent(msgspec.Struct, frozen=True):
    """One server-sent event."""

    name: str
    data: str
    id: int


class _Said(msgspec.Struct, frozen=True):
    """The sentence as the script wants it."""

    kind: str
    word: str
    one: str
    html: str


class Live:
    """What one page has been told."""

    def __init__(self, board: Board, frame: Frame, holder: Holder, filters: Filters, change: int) -> None:
        self._board, self._frame, self._holder, self._filters = board, frame, holder, filters
        self._change = change
        self._last: dict[str, str] = {}

    def tick(self, now: float, *, slow: bool, overview: bool) -> list[StreamEvent]:
        """Return what is new since the last tick."""
        events = list(self._rows(now))
        if slow:
            events += self._changed("say", self._say(now))
            if overview and self._holder.sees_all:
                box = box_of(self._board.standing(), self._board.settings(), now)
                events += self._changed("part", self._frame.part("outbox", now, box))
        return events

    def _rows(self, now: float) -> list[StreamEvent]:
        board = self._board
        if board.calls.change == self._change:
            return []
        wanted = wanted_by(board, self._holder, now, self._filters)
        changed = board.calls.since(self._change, board.calls.max_rows)
        self._change = board.calls.change
        rows = [row for row in changed if wanted(row)]
        if not rows:
            return []
        sources = board.settings().sources
        html = "".join(self._frame.part("call", now, view_of(row, sources)) for row in rows[-ROWS_A_TICK:])
        events = [StreamEvent("rows", html, self._change)]
        if (more := len(rows) - ROWS_A_TICK) > 0:
            events.append(StreamEvent("more", f"{counted(more, 'more call')} in this second", self._change))
        return events

    def _say(self, now: float) -> str:
        said, *also = told(self._board, self._holder)
        html = self._frame.part("sentence", now, said, also)
        return msgspec.json.encode(_Said(said.kind, said.word, said.one, html)).decode()

    def _changed(self, name: str, data: str) -> list[StreamEvent]:
        if self._last.get(name) == data:
            return []
        self._last[name] = data
        return [StreamEvent(name, data, self._change)]


async def stream(request: web.Request) -> web.StreamResponse:
    """Stream what is new to one page."""
    board, frame = request.app[BOARD], request.app[FRAME]
    filters = _filters(request)
    live = Live(board, frame, request[HOLDER], filters, _from(request, board.calls.change))
    overview = request.query.get("view") == "overview"
    with board.watchers.one():
        async with sse_response(request, sep="\n", headers={"X-Accel-Buffering": "no"}) as response:
            quiet = 0
            for tick in count():
                events = live.tick(time.time(), slow=tick % _SLOW_TICKS == 0, overview=overview)
                quiet = 0 if events else quiet + 1
                if quiet == _QUIET_TICKS:
                    events, quiet = [StreamEvent("quiet", "", board.calls.change)], 0
                if request.transport is None:
                    break
                if goodbye := _over(request, board):
                    await response.send(goodbye, event="bye")
                    break
                for event in events:
                    await response.send(event.data, event=event.name, id=str(event.id))
                await asyncio.sleep(TICK_S)
    return response


def _over(request: web.Request, board: Board) -> str:
    """Say why a stream ends; empty: it goes on."""
    if board.standing().stopping:
        return "The bridge stops. Reload when it is back."
    return "" if holder_of(request) is not None else "You are signed out. Sign in again."


def _filters(request: web.Request) -> Filters:
    try:
        return Filters(request.query)
    except InvalidQuery as error:
        raise web.HTTPBadRequest(text=str(error)) from None


def _from(request: web.Request, newest: int) -> int:
    """Return the change to go on after: that of the page, or of a stream that broke off."""
    text = request.headers.get("Last-Event-ID") or request.query.get("from", "")
    return min(int(text), newest) if text.isascii() and text.isdigit() and len(text) < _DIGITS else newest


_DIGITS: Final = 19
