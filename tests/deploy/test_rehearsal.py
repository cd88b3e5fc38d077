import msgspec
import pytest

from rehearsal import Outcome

CLEAN = Outcome(proxy="nginx", seed=1, sent=10, given_up=0, not_2xx=0, missing=0, late=0, copies=0, steps=[])


def test_a_rehearsal_without_a_loss_passes_with_copies_and_late_events() -> None:
    assert CLEAN.passed
    assert msgspec.structs.replace(CLEAN, late=1, copies=3).passed


@pytest.mark.parametrize("field", ["given_up", "not_2xx", "missing"])
def test_a_rehearsal_fails_by_a_single_loss(field: str) -> None:
    assert not msgspec.structs.replace(CLEAN, **{field: 1}).passed


def test_a_rehearsal_that_sent_nothing_fails() -> None:
    assert not msgspec.structs.replace(CLEAN, sent=0).passed
