from tms_bridge.message import ReceivedClock


def test_the_time_at_which_bodies_are_received_never_falls() -> None:
    told = iter([100, 300, 200, 250, 400])
    clock = ReceivedClock(150, lambda: next(told))
    assert [151, 300, 300, 300, 400] == [clock() for _ in range(5)]


def test_it_is_the_wall_clock_where_nothing_was_received_later() -> None:
    assert ReceivedClock()() > 1_700_000_000_000_000
