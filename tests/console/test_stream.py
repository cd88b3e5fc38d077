"""What an open page is told, tick by tick: how much, in which order, and made how often."""

import time
from collections.abc import Callable

import pytest
from aiohttp import web
from tests.admin.running import Desk, call
from tests.console.test_pages import board_of

from tms_bridge.admin.calls import Filters
from tms_bridge.admin.follow import A_SECOND, Tick
from tms_bridge.admin.guard import ANYBODY
from tms_bridge.console.frame import Frame
from tms_bridge.console.stream import ROWS_A_TICK, Live, chosen_of
from tms_bridge.message import Kind, Message


class Pages:
    """Open pages of one console, and how often a part was made for them."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self._desk = desk
        self._board = board_of(desk)
        self._frame = Frame(web.Application())
        self.made: list[str] = []
        monkeypatch.setattr(self._frame, "parts", self._parts)
        self._ticks = 0

    def _parts(self, _now: float) -> Callable[..., str]:
        def make(macro: str, *arguments: object) -> str:
            self.made.append(macro)
            return f"[{macro} {getattr(arguments[0], 'id', '')}]"

        return make

    def open(self, **query: str) -> Live:
        change = self._desk.calls.change
        return Live(self._board, self._frame, ANYBODY, Filters(query), change=change, overview=False)

    def tick(self, *pages: Live, ticks: int = 1) -> list[str]:
        """Let time pass; return what each page is told in the last of the ticks, and forget what was made."""
        for _ in range(ticks - 1):
            self.tick(*pages)
        self._ticks += 1
        self.made.clear()
        tick = Tick(self._desk.calls, self._ticks)
        return [b"".join(page.tick(tick)).decode() for page in pages]


@pytest.fixture
def pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Pages:
    return Pages(desk, monkeypatch)


def note(desk: Desk, *ids: str, **parts: object) -> None:
    for event_id in ids:
        desk.calls.note(call(time.time(), id=event_id, request_id=event_id, **parts))


def delivered(desk: Desk, event_id: str) -> None:
    parts = ("class", "completed", "tms.class.completed", "7", 1, "digest", "traceparent")
    desk.calls.delivered(Message(event_id, Kind.EVENT, "contoso", *parts, b"{}"), time.time(), time.time())


def test_a_row_is_made_once_for_all_pages_that_show_it(desk: Desk, pages: Pages) -> None:
    five = [pages.open(), pages.open(), pages.open(), pages.open(source="contoso"), pages.open(id="b")]
    note(desk, "a", "b", "c")
    told = pages.tick(*five)
    assert [3, 3, 3, 3, 1] == [text.count("[call") for text in told]
    assert 3 == pages.made.count("call")
    assert 1 == pages.made.count("sentence")


def test_a_rush_is_told_by_a_few_rows_a_second_and_by_a_number(desk: Desk, pages: Pages) -> None:
    page = pages.open()
    note(desk, *(f"first-{number}" for number in range(500)))
    (told,) = pages.tick(page)
    assert ROWS_A_TICK == told.count("[call")
    assert "480 more calls came meanwhile" in told
    note(desk, *(f"then-{number}" for number in range(500)))
    for _ in range(A_SECOND - 2):
        assert "[call" not in pages.tick(page)[0]
    (told,) = pages.tick(page)
    assert ROWS_A_TICK == told.count("[call")
    assert "then-499" in told


def test_after_a_rush_nothing_is_said_of_more(desk: Desk, pages: Pages) -> None:
    page = pages.open()
    note(desk, *(f"e{number}" for number in range(100)))
    pages.tick(page)
    (told,) = pages.tick(page, ticks=A_SECOND - 1)
    assert "event: more\ndata: \n" in told


def test_who_waits_for_somebody_is_among_the_rows_of_a_rush(desk: Desk, pages: Pages) -> None:
    page = pages.open()
    refused = {"outcome": "unauthorized", "http_status": 401, "listed": True}
    desk.calls.note(call(time.time(), id="", request_id="refused", **refused))
    note(desk, *(f"e{number}" for number in range(500)))
    desk.calls.told("e0", "unroutable")
    found = [row.call.request_id for row in chosen_of(desk.calls.since(0, 1000), ())]
    assert (ROWS_A_TICK, {"refused", "e0", "e499"}) == (len(found), {"refused", "e0", "e499"} & {*found})
    assert "[call e499]" in pages.tick(page)[0]


def test_a_row_that_a_page_shows_is_told_to_the_end_also_in_a_rush(desk: Desk, pages: Pages) -> None:
    page = pages.open()
    note(desk, "shown")
    pages.tick(page)
    note(desk, *(f"e{number}" for number in range(500)))
    delivered(desk, "shown")
    assert "[call shown]" in pages.tick(page)[0]


def test_a_row_that_fits_a_filter_no_more_is_told_where_a_page_shows_it(desk: Desk, pages: Pages) -> None:
    note(desk, "e")
    page, other = pages.open(outcome="waiting"), pages.open(outcome="unroutable")
    delivered(desk, "e")
    assert ["[call e]" in told for told in pages.tick(page, other)] == [True, False]
