"""The AMQP connection is cut, swallowed, or slow."""

from tests.faults.rig import until
from tests.faults.trial import Trial


def test_a_connection_that_is_reset_costs_no_event_and_no_order(trial: Trial) -> None:
    for _ in range(3):
        trial.hold_up(3)
        with trial.under("reset"):
            trial.rig.proxy.heal()
            trial.deliver(30)
    verdict = trial.verdict()
    assert trial.rig.proxy.accepted >= 4
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up


def test_a_black_hole_is_noticed_and_its_healing_delivers_nothing_twice_for_nothing(trial: Trial) -> None:
    """What was swallowed before the bridge gave up may still reach the broker once it heals."""
    with trial.under("black-hole"):
        until(lambda: trial.metric("broker_connected") == 0, "the silence to be noticed")
        assert trial.rig.subject.answers("/readyz")
        trial.progress(60)
    trial.deliver(60)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up


def test_a_slow_network_is_no_fault(trial: Trial) -> None:
    connections = trial.rig.proxy.accepted
    with trial.under("slow-network"):
        trial.progress(150)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert {0} == set(verdict.counts.copies.values())
    assert connections == trial.rig.proxy.accepted
