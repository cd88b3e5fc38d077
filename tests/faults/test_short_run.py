"""Short runs of everything together: senders, faults, consumers, checker, report."""

from pathlib import Path

import msgspec
from tests.faults.checker import check
from tests.faults.conductor import Plan, conduct
from tests.faults.report import Report, in_words, make_report, write

from rabbitmq import Node

KINDS = (
    "reset",
    "kill-marked",
    "too-large",
    "broker-kill",
    "queue-full",
    "no-queue",
    "disk-full",
    "kill-published",
    "exchange-deleted",
    "memory-alarm",
    "slow-disk",
)


def make(plan: Plan, node: Node, directory: Path) -> Report:
    """Run the plan, leave the report's files in the directory, and return it."""
    lines: list[str] = []
    run = conduct(plan, node, directory, lines.append)
    report = make_report(run, check(run.history))
    write(report, run, directory / "report", "run")
    assert report.passed, in_words(report)
    return report


def test_a_seeded_run_of_many_faults_keeps_every_promise(broker: Node, tmp_path: Path) -> None:
    plan = Plan(seed=11, duration_s=28.0, senders=64, rate=150.0, kinds=KINDS)
    report = make(plan, broker, tmp_path)
    assert report.counts.accepted == report.counts.events > 1000
    assert report.counts.undecodable > 0
    assert report.counts.retried > 0
    assert len(report.figures.faults) >= 4
    written = msgspec.json.decode((tmp_path / "report/run.json").read_bytes(), type=Report)
    assert report == written


def test_without_an_outbox_nothing_is_missing_either(broker: Node, tmp_path: Path) -> None:
    kinds = ("reset", "broker-kill", "bridge-kill", "no-queue")
    plan = Plan(seed=5, duration_s=10.0, senders=32, rate=80.0, kinds=kinds, disk=False)
    report = make(plan, broker, tmp_path)
    assert report.counts.accepted == report.counts.events > 0
