import pytest

from samples import interval, percentile, ratios, spread


def test_a_spread_is_the_median_with_its_extremes() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (2.0, 1.0, 3.0) == (found.median, found.least, found.most)
    assert found.text(1) == "2.0 (1.0 to 3.0)"


def test_ratios_are_taken_round_by_round() -> None:
    assert [2.0, 0.5] == ratios([4.0, 1.0], [2.0, 2.0])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 100.0)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert expected == percentile([float(value) for value in range(1, 101)], share)


def test_the_interval_holds_the_median_and_narrows_with_more_rounds() -> None:
    few, many = [0.9, 1.0, 1.3], [0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.3]
    low, high = interval(few)
    assert low <= 1.0 <= high
    narrow_low, narrow_high = interval(many)
    assert narrow_high - narrow_low < high - low
