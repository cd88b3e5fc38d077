"""The bridge is killed: anywhere, and just where it hurts."""

import pytest
from tests.faults.records import Attempt
from tests.faults.rig import until
from tests.faults.trial import Trial


def test_killed_anywhere_and_again_nothing_is_lost(trial: Trial) -> None:
    for _ in range(3):
        with trial.under("bridge-kill"):
            assert not trial.rig.subject.running
        trial.deliver(40)
        trial.recover()
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up


@pytest.mark.parametrize("point", ["committed", "marked", "published", "acked"])
def test_killed_at_a_point_that_hurts_nothing_is_lost(trial: Trial, point: str) -> None:
    for passings in (1, 7):
        _kill_at(trial, point, passings)
        trial.rig.start_bridge()
        trial.deliver(40)
        trial.recover()
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up


def test_what_was_published_and_never_arrived_is_published_again(trial: Trial) -> None:
    """Nothing leaves the outbox before its confirm; the broker dies too, with all that was on its way."""
    trial.rig.proxy.black_hole()
    until(lambda: trial.rig.proxy.outstanding >= 3, "publishes to be on their way")
    trial.progress(60)
    trial.rig.kill_bridge()
    with trial.under("broker-kill"):
        trial.rig.proxy.heal()
        trial.rig.start_bridge()  # it waits for its broker: until it is up, events would be given up
    trial.deliver(60)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up


def test_what_was_committed_and_not_answered_is_recognised_when_it_comes_again(trial: Trial) -> None:
    """One row, and so one id on every queue, although the sender was not told the first time."""
    _kill_at(trial, "committed", 1)
    trial.rig.start_bridge()
    until(lambda: bool(_joined(trial)), "a retry that is recognised")
    assert [] == trial.verdict().violations


def _kill_at(trial: Trial, point: str, passings: int) -> None:
    trial.rig.subject.shake(f"kill {point} {passings}")
    until(lambda: not trial.rig.subject.running, f"the bridge to pass {point}")
    trial.rig.kill_bridge()


def _joined(trial: Trial) -> list[str | None]:
    """Return the ids of events of which an earlier call met the kill."""
    calls = trial.attempts()
    killed = {_event(call) for call in calls if call.code is None and call.error != "aborted"}
    return [call.id for call in calls if call.outcome == "duplicate" and _event(call) in killed]


def _event(call: Attempt) -> tuple[str, int, int]:
    return call.trigger, call.entity, call.ordinal
