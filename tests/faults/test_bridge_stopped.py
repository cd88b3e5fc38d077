"""SIGTERM while webhooks come in."""

from tests.faults.trial import Trial


def test_stopped_under_load_it_drains_and_sends_nothing_twice(trial: Trial) -> None:
    trial.hold_up(3, delay_s=0.1)
    with trial.under("bridge-stop"):
        assert not trial.rig.subject.running
    trial.rig.proxy.heal()
    trial.progress(60)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert [] == trial.rig.observations
    assert {0} == set(verdict.counts.copies.values())
    assert 0 == verdict.counts.given_up


def test_stopped_without_a_broker_it_keeps_what_waits(trial: Trial) -> None:
    with trial.under("broker-stop"):
        trial.progress(60)
        with trial.under("bridge-stop"):
            assert not trial.rig.subject.running
        trial.progress(30)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert [] == trial.rig.observations
