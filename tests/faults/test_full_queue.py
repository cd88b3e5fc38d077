"""A queue with reject-publish is full, beside healthy ones."""

from tests.faults.rig import FULL, LIMIT, until
from tests.faults.trial import Trial


def test_a_full_queue_holds_up_only_what_it_wants(trial: Trial) -> None:
    with trial.under("queue-full"):
        until(lambda: trial.metric("publish_nacked_total") >= 1, "the queue to refuse")
        trial.deliver(200)
        assert trial.rig.control.ready([FULL])[FULL] >= LIMIT
        assert trial.rig.subject.answers("/readyz")
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up


def test_one_probe_at_a_time_asks_whether_a_full_queue_has_room(trial: Trial) -> None:
    """Each nack of a quorum queue leaves copies in the others: asking often would flood them."""
    with trial.under("queue-full"):
        until(lambda: trial.metric("publish_nacked_total") >= 1, "the queue to refuse")
        before = trial.metric("publish_nacked_total")
        trial.progress(300)
        # Back-off from half a second; whoever published each waiting event would be nacked some eighty times.
        assert trial.metric("publish_nacked_total") - before <= 30
    assert [] == trial.verdict().violations
