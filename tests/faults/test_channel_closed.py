"""The broker closes the channel: an exchange is missing, a message too large, a topic forbidden."""

from tests.faults.rig import until
from tests.faults.trial import Trial


def test_a_deleted_exchange_is_nobodys_fault_and_comes_back(trial: Trial) -> None:
    reconnects = trial.metric("broker_reconnects_total")
    with trial.under("exchange-deleted"):
        until(lambda: trial.metric("broker_reconnects_total") > reconnects, "the bridge to connect anew")
        trial.progress(60)
    trial.deliver(100)
    assert 0 == trial.metric("outbox_refused")
    assert [] == trial.verdict().violations


def test_a_message_that_the_broker_calls_too_large_is_parked_alone(trial: Trial) -> None:
    with trial.under("too-large"):
        until(lambda: trial.metric("outbox_refused") >= 1, "a large message to be refused")
        trial.deliver(100)
    assert 0 == trial.metric("outbox_refused")
    assert [] == trial.verdict().violations


def test_a_topic_that_may_not_be_published_to_waits_and_holds_up_no_other(trial: Trial) -> None:
    with trial.under("topic-forbidden"):
        until(lambda: "ACCESS_REFUSED" in trial.rig.subject.log, "a publish to be refused")
        trial.deliver(200)
        assert 0 == trial.metric("outbox_refused")
        assert trial.metric("outbox_events") >= 1
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up
