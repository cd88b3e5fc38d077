"""What listens in the broker's place is no broker: a load balancer before nothing, a node that starts."""

from tests.faults.half_open import Manner
from tests.faults.rig import until
from tests.faults.trial import Trial


def test_whatever_listens_in_the_brokers_place_is_a_broker_that_is_away(trial: Trial) -> None:
    proxy = trial.rig.proxy
    for manner in (Manner.CLOSE, Manner.JUNK, Manner.CLOSE_FOR_OPEN_OK, Manner.CLOSE_AFTER_OPEN_OK):
        proxy.half_open(manner)
        seen = proxy.accepted
        until(lambda seen=seen: proxy.accepted >= seen + 2, f"two attempts at a host that would {manner}")  # type: ignore[misc]
        trial.progress(20)
        assert trial.rig.subject.answers("/readyz")
    proxy.heal()
    trial.deliver(200)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up
    assert "Traceback" not in trial.rig.subject.log
    assert "object at 0x" not in trial.rig.subject.log


def test_a_bridge_that_starts_before_its_broker_waits_for_it(trial: Trial) -> None:
    trial.rig.proxy.half_open(Manner.CLOSE)
    trial.rig.kill_bridge()
    trial.rig.start_bridge()
    trial.progress(50)
    trial.rig.proxy.heal()
    assert [] == trial.verdict().violations
    assert "Traceback" not in trial.rig.subject.log
