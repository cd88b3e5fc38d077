"""How long the supervisor waits."""

from tms_bridge.broker.backoff import Backoff


def test_back_off_doubles_under_full_jitter_and_starts_anew_after_a_good_connection() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.next() for _ in range(9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]
    backoff.lived(3.0)
    assert backoff.next() == 15.0
    backoff.lived(10.0)
    assert backoff.next() == 0.2
    assert Backoff(jitter=lambda: 0.0).next() == 0.0
