from tms_bridge.http.feed import Rate


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_is_the_mean_of_the_last_minute() -> None:
    clock = Clock()
    rate = Rate(clock)
    for _ in range(30):
        rate.note()
    clock.now += 30
    for _ in range(30):
        rate.note()

    assert rate.per_second() == 1.0


def test_what_is_older_than_a_minute_does_not_count() -> None:
    clock = Clock()
    rate = Rate(clock)
    rate.note()
    clock.now += 59
    recent = rate.per_second()
    clock.now += 1
    past = rate.per_second()
    clock.now += 10_000

    assert (recent, past, rate.per_second()) == (0.017, 0.0, 0.0)
