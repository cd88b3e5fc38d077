"""What is live on a page: one stream a page, of ready-made parts, a tick every quarter of a second.

Each event holds HTML from the same macro that made the page. A part is made once for all who see the same.
Where more comes than can be read, a page gets a choice of it once a second: what it costs has an end.

| event | holds | when |
| --- | --- | --- |
| say | the sentence, its kind and word | it has changed, twice a second at most |
| rows | rows that came or changed, the newest last | they have; 20 at a time, and those that the page shows |
| more | how many came that are not among them, in words | once a second while there are; then nothing, once |
| part | the card of the outbox | it has changed, once a second at most |
| quiet | nothing | nothing else came for 15 s |
| bye | words | the session is over, or the bridge stops |
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.admin.calls import Filters
from tms_bridge.admin.follow import A_SECOND, Tick, event, follow, resumed
from tms_bridge.admin.guard import HOLDER, Holder
from tms_bridge.calls import CallRow
from tms_bridge.console.access import holder_of
from tms_bridge.console.cards import box_of
from tms_bridge.console.format import counted
from tms_bridge.console.frame import BOARD, FRAME, Board, Frame, told
from tms_bridge.console.pages import PAGE, wanted_by
from tms_bridge.console.views import view_of
from tms_bridge.errors import InvalidQuery

ROWS_A_TICK: Final = 20
"""So many rows can be looked at; where more come, the next are sent after a second."""

_SHOWN: Final = 100
"""How many rows a page keeps, as its script has it."""

_QUIET_TICKS: Final = 60
_SAY_TICKS: Final = A_SECOND // 2
_CALM: Final = frozenset({"waiting", "delivered"})


class _Said(msgspec.Struct, frozen=True):
    """The sentence as the script wants it."""

    kind: str
    word: str
    one: str
    html: str


class Live:
    """What one page was told."""

    def __init__(  # noqa: PLR0913 - what a page is, and whose
        self, board: Board, frame: Frame, holder: Holder, filters: Filters, *, change: int, overview: bool
    ) -> None:
        self._board, self._frame, self._holder, self._filters = board, frame, holder, filters
        self._change = change
        self._overview = overview
        shown = board.calls.select(wanted_by(board, holder, 0.0, filters), PAGE)
        self._shown = deque((row.number for row in reversed(shown)), _SHOWN)
        self._newest = max(self._shown, default=0)
        self._rushed = False
        self._last: dict[str, str] = {}
        self._quiet = 0

    def tick(self, tick: Tick) -> Iterator[bytes]:
        """Yield what is new since the last tick."""
        events = [*self._rows(tick), *self._slow(tick)]
        self._quiet = 0 if events else self._quiet + 1
        if self._quiet == _QUIET_TICKS:
            self._quiet = 0
            yield event("quiet", "", self._change)
        yield from events

    def _rows(self, tick: Tick) -> Iterator[bytes]:
        if self._rushed and tick.number % A_SECOND:
            return
        if tick.change > self._change:
            shown = frozenset(self._shown)
            wanted = wanted_by(self._board, self._holder, tick.now, self._filters)
            # A row that the page shows is told to the end, also where it fits the filter no more.
            rows = [row for row in tick.changed(self._change) if row.number in shown or wanted(row)]
            self._change = tick.change
            if rows:
                yield from self._choice(rows, shown, tick)
                return
        self._rushed = False
        yield from self._changed("more", "")

    def _choice(self, rows: Sequence[CallRow], shown: Collection[int], tick: Tick) -> Iterator[bytes]:
        """Yield those rows that are to be seen, and how many new ones are not."""
        chosen = chosen_of(rows, shown)
        new = sum(row.number > self._newest for row in rows)
        left = new - sum(row.number > self._newest for row in chosen)
        self._rushed = len(rows) > len(chosen)
        self._newest = max(self._newest, *(row.number for row in rows))
        self._shown.extend(row.number for row in chosen if row.number not in shown)
        yield event("rows", "".join(map(partial(self._row, tick), chosen)), self._change)
        more = f"{counted(left, 'more call')} came meanwhile. A filter shows those that you look for."
        yield from self._changed("more", more if left else "")

    def _row(self, tick: Tick, row: CallRow) -> str:
        sources = self._board.settings().sources
        return tick.made(
            ("row", row.number, row.changed), lambda: self._parts(tick)("call", view_of(row, sources))
        )

    def _slow(self, tick: Tick) -> Iterator[bytes]:
        if not self._last or tick.number % _SAY_TICKS == 0:
            yield from self._changed(
                "say", tick.made(("say", self._holder.sources), partial(self._say, tick))
            )
        if self._overview and self._holder.sees_all and tick.number % A_SECOND == 0:
            yield from self._changed("part", tick.made("outbox", partial(self._outbox, tick)))

    def _say(self, tick: Tick) -> str:
        said, *also = told(self._board, self._holder)
        html = self._parts(tick)("sentence", said, also)
        return msgspec.json.encode(_Said(said.kind, said.word, said.one, html)).decode()

    def _outbox(self, tick: Tick) -> str:
        box = box_of(self._board.standing(), self._board.settings(), tick.now)
        return self._parts(tick)("outbox", box)

    def _parts(self, tick: Tick) -> Callable[..., str]:
        return tick.made("parts", lambda: self._frame.parts(tick.now))

    def _changed(self, name: str, data: str) -> Iterator[bytes]:
        if self._last.get(name, "") != data:
            self._last[name] = data
            yield event(name, data, self._change)


def chosen_of(rows: Sequence[CallRow], shown: Collection[int], most: int = ROWS_A_TICK) -> Sequence[CallRow]:
    """Return those that a page is told of: what it shows, and `most` new ones, what wants somebody first."""
    if len(rows) <= most:
        return rows
    new = [row for row in rows if row.number not in shown]
    # A stable order by whether somebody is wanted, so that within either the newest are last.
    picked = {row.number for row in sorted(new, key=_wants_somebody)[-most:]}
    return [row for row in rows if row.number in shown or row.number in picked]


def _wants_somebody(row: CallRow) -> bool:
    """Return whether TMS or an operator waits for this one, as far as it can be told."""
    if row.fate is not None:
        return row.fate.state not in _CALM
    return bool(not row.call.source or row.call.listed or row.call.credential)


async def stream(request: web.Request) -> web.StreamResponse:
    """Stream what is new to one page."""
    board, filters = request.app[BOARD], _filters(request)
    live = Live(
        board,
        request.app[FRAME],
        request[HOLDER],
        filters,
        change=resumed(request, request.query.get("from", ""), board.calls.change),
        overview=request.query.get("view") == "overview",
    )
    return await follow(request, board.watchers, live.tick, partial(_goodbye, request, board))


def _goodbye(request: web.Request, board: Board) -> bytes | None:
    """Say why a stream ends; None: it goes on."""
    why = ""
    if board.standing().stopping:
        why = "The bridge stops. Reload when it is back."
    elif holder_of(request) is None:
        why = "You are signed out. Sign in again."
    return event("bye", why, board.calls.change) if why else None


def _filters(request: web.Request) -> Filters:
    try:
        return Filters(request.query)
    except InvalidQuery as error:
        raise web.HTTPBadRequest(text=str(error)) from None
