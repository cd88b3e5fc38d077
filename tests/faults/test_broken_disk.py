"""The outbox's disk fails, turns read-only, or is slow."""

import pytest
from tests.faults.trial import Trial


@pytest.mark.parametrize("fault", ["fsync-error", "read-only"])
def test_a_failing_disk_ends_the_bridge_and_a_restart_goes_on(trial: Trial, fault: str) -> None:
    with trial.under(fault):
        assert not trial.rig.subject.running
    trial.progress(60)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert [] == trial.rig.observations  # among them: it ended with exit code 0
    assert 0 == verdict.counts.given_up


def test_a_slow_disk_is_shared_by_those_who_wait(trial: Trial) -> None:
    with trial.under("slow-disk"):
        before = trial.metric("outbox_commit_duration_seconds_count")
        trial.progress(200)
        commits = trial.metric("outbox_commit_duration_seconds_count") - before
    assert commits < 100
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up
