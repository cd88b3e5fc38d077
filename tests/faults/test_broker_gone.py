"""The broker dies, is stopped, or takes nothing."""

import pytest
from tests.faults.rig import until
from tests.faults.trial import SENDERS, Trial


@pytest.mark.parametrize("fault", ["broker-kill", "broker-stop"])
def test_a_broker_that_goes_away_is_not_seen_by_the_sender(trial: Trial, fault: str) -> None:
    trial.hold_up(3)
    with trial.under(fault):
        trial.rig.proxy.heal()
        until(lambda: trial.metric("broker_connected") == 0, "the loss to be noticed")
        trial.progress(100)
        assert trial.rig.subject.answers("/readyz")
    trial.deliver(100)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up


@pytest.mark.parametrize("fault", ["memory-alarm", "disk-alarm"])
def test_while_an_alarm_blocks_publishing_events_wait_in_the_outbox(trial: Trial, fault: str) -> None:
    with trial.under(fault):
        until(lambda: trial.metric("broker_blocked") == 1, "the broker to block")
        trial.progress(100)
        assert trial.metric("outbox_events") >= 50
        # What was on its way when it blocked; whoever publishes on would have 64 there.
        assert trial.metric("publishes_outstanding") <= SENDERS
        assert trial.metric("broker_connected") == 1
    trial.deliver(100)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up
