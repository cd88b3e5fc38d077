"""A second bridge is started on an outbox that is in use."""

from tests.faults.trial import Trial


def test_a_second_bridge_refuses_and_the_first_does_not_notice(trial: Trial) -> None:
    with trial.under("second-bridge"):
        trial.progress(30)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert [] == trial.rig.observations
    assert {0} == set(verdict.counts.copies.values())
