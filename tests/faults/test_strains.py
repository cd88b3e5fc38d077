"""The bridge itself is strained: each kind by itself, and what it must do meanwhile is asked at its end."""

import pytest
from tests.faults.trial import Trial


@pytest.mark.parametrize(
    ("strain", "events"),
    [("descriptors", 60), ("hostile-import", 1), ("poison", 200), ("greedy-source", 600)],
)
def test_a_strain_is_outlived_and_costs_nobody_an_event(trial: Trial, strain: str, events: int) -> None:
    with trial.under(strain):
        trial.progress(events)
    trial.deliver(60)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert [] == trial.rig.observations
    assert 0 == verdict.counts.given_up
