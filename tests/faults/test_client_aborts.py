"""Senders hang up before the answer, a third of the time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.rig import Rig
from tests.faults.trial import Trial

from rabbitmq import Node


@pytest.fixture
def impatient(broker: Node, tmp_path: Path) -> Iterator[Trial]:
    """Senders that hang up within six milliseconds, a third of the time."""
    with Rig(tmp_path, broker) as rig, Trial(rig, aborts=0.33, most_aborts=5) as trial:
        yield trial


def test_what_was_taken_in_and_not_answered_is_one_event_with_its_retry(impatient: Trial) -> None:
    impatient.rig.subject.shake("fsync 0.02")  # no answer is there in time, however quick the machine
    impatient.progress(200)
    impatient.rig.subject.shake("fsync ok")
    verdict = impatient.verdict()
    assert [] == verdict.violations
    assert {0} == set(verdict.counts.copies.values())
    unanswered = sum(call.error == "aborted" for call in impatient.attempts())
    recognised = sum(call.outcome == "duplicate" for call in impatient.attempts())
    # Some had left before the bridge had their body.
    assert unanswered > 40
    assert recognised > unanswered / 2
    assert verdict.counts.second_ids <= unanswered - recognised
