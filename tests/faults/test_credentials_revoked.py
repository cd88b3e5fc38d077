"""The broker knows the bridge's password no longer, for a while."""

from tests.faults.rig import until
from tests.faults.trial import Trial


def test_revoked_credentials_are_an_outage_and_no_end(trial: Trial) -> None:
    with trial.under("credentials-revoked"):
        until(lambda: trial.metric("broker_connected") == 0, "the bridge to be locked out")

        trial.progress(100)
        assert trial.rig.subject.answers("/readyz")
    trial.deliver(100)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up
    assert trial.rig.control.password not in trial.rig.subject.log
