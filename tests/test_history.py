"""What is counted over an hour and a day."""

from tms_bridge.history import BOUNDS_MS, HOUR_S, History, Seconds, Spans

NOON = 1_800_000_000


def test_seconds_are_counted_for_an_hour() -> None:
    seconds = Seconds()
    for at in (NOON, NOON, NOON + 1, NOON + 59):
        seconds.add(at, 1)
    assert 4 == seconds.total(NOON + 59, 60)
    assert 2 == seconds.total(NOON + 60, 60)
    assert 1 == seconds.total(NOON + 59, 1)
    assert 0 == seconds.total(NOON + 59 + HOUR_S, HOUR_S)


def test_a_clock_that_steps_back_loses_no_count() -> None:
    seconds = Seconds()
    seconds.add(NOON, 1)
    seconds.add(NOON - 30, 1)
    assert 2 == seconds.total(NOON, 60)


def test_a_gap_is_a_gap_and_not_a_zero() -> None:
    spans = Spans(60, 3)
    spans.at(NOON).taken += 1
    spans.at(NOON + 120).taken += 1
    assert [1, None, 1] == [span and span.taken for span in spans.over(NOON + 125)]
    assert [None, 1, None] == [span and span.taken for span in spans.over(NOON + 185)]


def test_old_spans_are_forgotten() -> None:
    spans = Spans(60, 3)
    for minute in range(1_000):
        spans.at(NOON + 60 * minute)
    assert 3 == len(spans._spans)


def test_an_hour_and_a_day_count_the_same_events() -> None:
    history = History()
    history.note_taken(2.0)
    history.look(NOON, 7, away=True)
    history.note_delivered()
    history.note_refused("unauthorized")
    history.look(NOON + 1, 3, away=False)
    for span in (history.hour.at(NOON), history.day.at(NOON)):
        assert (1, 1, {"unauthorized": 1}) == (span.taken, span.delivered, span.refused)
        assert (7, True) == (span.depth, span.away)
    assert (1, 1, 1) == tuple(
        seconds.total(NOON + 1, 60) for seconds in (history.taken, history.delivered, history.refused)
    )


def test_reasons_without_end_are_counted_as_other() -> None:
    history = History()
    for number in range(100):
        history.note_refused(f"reason {number}")
    history.look(NOON, 0, away=False)
    refused = history.hour.at(NOON).refused
    assert 100 == sum(refused.values())
    assert len(refused) <= 25


def test_a_percentile_is_the_bound_of_its_bucket() -> None:
    history = History()
    assert history.hour.at(NOON).percentile_ms(0.5) is None
    for duration_ms in [1.0] * 98 + [30.0] * 2:
        history.note_taken(duration_ms)
    history.look(NOON, 0, away=False)
    half, most = (history.hour.at(NOON).percentile_ms(share) for share in (0.5, 0.99))
    assert half is not None
    assert most is not None
    assert 1.0 <= half < 2.0
    assert 30.0 <= most < 50.0


def test_what_takes_longer_than_the_last_bound_is_told_as_that_bound() -> None:
    history = History()
    history.note_taken(10_000_000.0)
    history.look(NOON, 0, away=False)
    assert BOUNDS_MS[-1] == history.hour.at(NOON).percentile_ms(1.0)
