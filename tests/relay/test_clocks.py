"""The pace of a backlog and the exchange of connections, in simulated time."""

import pytest

from tms_bridge.relay.clocks import FIRST_AFTER_S, LONGEST_AFTER_S, NEAR, PAUSE_S, RATE, Pace, Renewal

PAGE = 64
PAGE_S = 0.001
"""How long a page takes by itself here: 64,000 events a second."""

BACKLOG = 100_000

NEVER = float("inf")


def carried_per_s(arriving_per_s: float, *, backlog: int = BACKLOG, seconds: float = 1.0) -> float:
    """Publish page after page for so long, while so many events arrive."""
    pace = Pace(backlog)
    now = start = 1000.0
    published = 0
    while now < start + seconds:
        newest = backlog + round((now - start) * arriving_per_s)
        now += PAGE_S + pace.pause_s(now, newest=newest, cursor=published, published=published)
        published += PAGE
    return published / seconds


def test_a_backlog_is_carried_at_full_speed_while_nothing_arrives() -> None:
    assert carried_per_s(0) == pytest.approx(PAGE / PAGE_S, rel=0.01)


@pytest.mark.parametrize("arriving_per_s", [500, 1900])
def test_it_gives_way_to_what_arrives(arriving_per_s: int) -> None:
    assert carried_per_s(arriving_per_s) == pytest.approx(RATE, rel=0.1)


@pytest.mark.parametrize("arriving_per_s", [3000, 8000, 20_000])
def test_it_becomes_shorter_however_many_arrive(arriving_per_s: int) -> None:
    assert carried_per_s(arriving_per_s) == pytest.approx(2 * arriving_per_s, rel=0.1)


def test_a_rare_event_costs_it_little() -> None:
    assert carried_per_s(5) > 0.7 * PAGE / PAGE_S


def test_what_is_left_of_it_in_the_end_is_carried_at_full_speed() -> None:
    assert carried_per_s(1000, backlog=NEAR) == pytest.approx(PAGE / PAGE_S, rel=0.01)


def test_looking_past_what_may_not_be_published_is_not_held_up() -> None:
    pace = Pace(BACKLOG)
    pauses = [
        pace.pause_s(turn * PAGE_S, newest=BACKLOG + turn, cursor=turn * PAGE, published=0)
        for turn in range(1, 500)
    ]
    assert set(pauses) == {0.0}


def test_time_without_publishing_is_not_made_up_for() -> None:
    """After an outage a burst would be felt."""
    pace = Pace(BACKLOG)
    pace.pause_s(1.0, newest=BACKLOG, cursor=0, published=0)
    pace.pause_s(100.0, newest=BACKLOG + 1, cursor=0, published=0)
    pause_s = pace.pause_s(100.001, newest=BACKLOG + 2, cursor=PAGE, published=PAGE)
    assert pause_s == pytest.approx(PAGE / RATE - 0.001)


@pytest.fixture
def renewal() -> Renewal:
    fresh = Renewal()
    fresh.opened(10.0)
    return fresh


def test_nothing_blocked_asks_for_nothing(renewal: Renewal) -> None:
    assert not renewal.wanted(1e6, NEVER)
    assert NEVER == renewal.due(NEVER)


def test_time_counts_from_the_block_or_the_connection_whichever_is_later(renewal: Renewal) -> None:
    assert 10.0 + FIRST_AFTER_S == renewal.due(5.0)
    assert 20.0 + FIRST_AFTER_S == renewal.due(20.0)
    assert not renewal.wanted(renewal.due(20.0) - 0.01, 20.0)
    assert renewal.wanted(renewal.due(20.0), 20.0)


def test_a_pause_that_found_no_quiet_moment_ends(renewal: Renewal) -> None:
    due = renewal.due(20.0)
    assert not renewal.wanted(due + PAUSE_S, 20.0)
    assert due + FIRST_AFTER_S == renewal.due(20.0)


def test_it_is_done_ever_more_rarely_until_nothing_is_blocked(renewal: Renewal) -> None:
    waits = []
    for _ in range(9):
        waits.append(renewal.due(10.0) - 10.0)
        renewal.longer()
    assert [3, 6, 12, 24, 48, 96, 192, LONGEST_AFTER_S, LONGEST_AFTER_S] == waits
    assert not renewal.wanted(11.0, NEVER)
    assert 10.0 + FIRST_AFTER_S == renewal.due(10.0)
