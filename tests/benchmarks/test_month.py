import pytest

import month


@pytest.mark.parametrize("varied", [False, True])
def test_after_a_month_a_planted_member_is_told_with_its_first_body(*, varied: bool) -> None:
    figures = month.month(6_000, varied=varied, rounds=1)

    assert [1] * 4 == [planted.bodies for planted in figures.planted]
    assert figures.memory_bytes < 1_000_000
    assert figures.file_bytes < 100_000
