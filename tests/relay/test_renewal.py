import pytest

from tms_bridge.relay.renewal import FIRST_AFTER_S, LONGEST_AFTER_S, PAUSE_S, Renewal

NEVER = float("inf")


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
