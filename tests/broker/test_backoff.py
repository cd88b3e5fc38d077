"""How long the supervisor waits."""

from tms_bridge.broker.backoff import Backoff


def test_back_off_doubles_up_to_five_seconds_under_full_jitter() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.next() for _ in range(9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    assert Backoff(jitter=lambda: 0.0).next() == 0.0


def test_after_a_good_connection_the_next_is_tried_at_once() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    backoff.next()
    assert backoff.after_loss(10.0, useful=False) == 0.0
    assert backoff.rounds == 0


def test_a_short_connection_that_confirmed_something_costs_the_shortest_wait() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.after_loss(0.5, useful=True) for _ in range(3)] == [0.2, 0.2, 0.2]


def test_connections_that_come_to_nothing_are_tried_ever_more_rarely() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.after_loss(0.5, useful=False) for _ in range(3)] == [0.2, 0.4, 0.8]
