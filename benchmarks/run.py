"""Measures the bridge against what people would use instead, and writes docs/performance.md's tables.

    make bench             about a quarter of an hour; refreshes the tables and plots
    make bench QUICK=1     about four minutes; prints the tables only

Every phase stands alone: one that fails is reported and the others go on; past the time limit the rest is
left out, and said to be.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import growth
import report
from brokers import best_installation, broker, place
from comparison import FAILURES, Comparison, Plan, receivers
from installation import Installation
from machine import facts
from rabbitmq import Node
from receivers import BUILD, bridge
from startup import measure_starts
from weather import measure_outages

_LEAST_SOAK_S = 60.0
_SPARE_S = 20.0
_LEFT_OUT = "left out: the time was up"


@dataclass
class Run:
    """One run: how much is measured, and what came of it."""

    plan: Plan
    outage_rounds: int
    point_s: float
    soak_s: float
    limit_s: float
    backlog: Sequence[int]
    began: float = field(default_factory=time.monotonic)
    results: dict[str, object] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def left_s(self) -> float:
        """How much time is left."""
        return self.limit_s - (time.monotonic() - self.began)

    def phase(self, name: str, measure: Callable[[], object]) -> None:
        """Do one phase, whatever became of the others."""
        if self.left_s < _SPARE_S:
            self.failures[name] = _LEFT_OUT
            return
        print(f"bench: {name} ({self.left_s:.0f} s left)", file=sys.stderr, flush=True)
        try:
            self.results[name] = measure()
        except FAILURES as error:
            self.failures[name] = str(error)[-2000:]
            print(f"bench: {name} failed: {error}", file=sys.stderr, flush=True)


QUICK = Run(Plan(2, 3, 2), 1, 2, 0, 260, (0, 10_000))
FULL = Run(Plan(5, 5, 4), 3, 3, 240, 1170, growth.BACKLOG)


def measure(run: Run) -> dict[str, object]:
    """Measure everything; return the results."""
    installation = best_installation()
    run.results["machine"] = facts(installation)
    with broker(installation) as node:
        run.phase("comparison", lambda: _compare(run, node, installation))
        run.phase("start", lambda: measure_starts(node, 5))
        run.phase("outages", lambda: measure_outages(node, run.outage_rounds, run.plan.saturate_s))
        _measure_growth(run, node)
    run.results["failures"] = run.failures
    run.results["seconds"] = round(time.monotonic() - run.began)
    return run.results


def _compare(run: Run, node: Node, installation: Installation) -> object:
    with receivers(node, installation) as everyone:
        comparison = Comparison(everyone)
        comparison.run(run.plan)
        run.failures |= comparison.failures
        titles = {receiver.name: receiver.title for receiver in everyone}
        return {
            "titles": titles,
            "full": comparison.full,
            "differing": comparison.differing,
            "paced": comparison.paced,
        }


def _measure_growth(run: Run, node: Node) -> None:
    run.phase("backlog", lambda: growth.by_backlog(node, run.point_s, run.backlog))
    if not run.soak_s:
        return
    receiver = bridge(place(node, "growth"), journal=True, name="growth")
    try:
        receiver.start()
        run.phase("connections", lambda: growth.by_connections(receiver, run.point_s))
        run.phase("body", lambda: growth.by_body(receiver, run.point_s))
        run.phase("entities", lambda: growth.by_entities(receiver, run.point_s))
        soak_s = min(run.soak_s, run.left_s - _SPARE_S)
        if soak_s >= _LEAST_SOAK_S:
            run.phase("uptime", lambda: growth.by_uptime(receiver, soak_s))
    finally:
        receiver.close()


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="about three minutes; writes no documentation")
    parser.add_argument("--soak-s", type=float, help="how long the run over uptime takes (240)")
    parser.add_argument("--render", type=Path, metavar="JSON", help="measure nothing; write an earlier run's")
    chosen = parser.parse_args(arguments)
    if chosen.render:
        report.write(json.loads(chosen.render.read_text()))
        return 0
    run = QUICK if chosen.quick else FULL
    if chosen.soak_s is not None:
        run.limit_s += chosen.soak_s - run.soak_s
        run.soak_s = chosen.soak_s
    results = json.loads(json.dumps(measure(run)))
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    if not chosen.quick:
        report.write(results)
    print(report.markdown(results))
    return 1 if set(run.failures.values()) - {_LEFT_OUT} else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
