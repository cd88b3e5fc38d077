"""No queue wants an event."""

from tests.faults.records import UNROUTABLE, Delivery, read
from tests.faults.trial import Trial


def test_what_no_queue_wants_is_kept_where_it_can_be_found(trial: Trial) -> None:
    with trial.under("no-queue"):
        trial.deliver(50)
    verdict = trial.verdict()
    assert [] == verdict.violations
    kept = [each for each in _deliveries(trial) if each.queue == UNROUTABLE]
    assert len(kept) >= 40
    assert trial.rig.subject.log.count('"unroutable"') <= len(kept) + 1


def _deliveries(trial: Trial) -> list[Delivery]:
    return read(trial.rig.directory / "deliveries.jsonl", Delivery)
