"""`make faults`: one seeded run, or several, with a report of each.

python -m tests.faults --seed 1 2 3 --duration 600
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.faults.brokers import make_node
from tests.faults.checker import check
from tests.faults.conductor import FAILURES, Plan, conduct
from tests.faults.faults import FAULTS
from tests.faults.index import write_index
from tests.faults.report import Report, in_words, make_report, write
from tests.faults.subject import ROOT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and tell; 0 when all runs passed, 1 when one did not."""
    options = _parser().parse_args(arguments)
    results = [_one(options, seed) for seed in options.seed]
    return 0 if all(results) else 1


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one run for each")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds in which faults begin")
    parser.add_argument("--senders", type=int, default=64, help="events under way at once")
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--every", type=float, default=0.0, help="seconds from one fault to the next")
    parser.add_argument(
        "--kinds", nargs="+", default=[], choices=[fault.name for fault in FAULTS], help="only these"
    )
    parser.add_argument("--broker", choices=["3", "4"], help="generation of RabbitMQ; the machine's own")
    parser.add_argument("--no-outbox", action="store_true", help="a bridge without a disk")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/reliability", help="where reports go")
    parser.add_argument("--keep", action="store_true", help="keep the records also of a run that passed")
    return parser


def _one(options: argparse.Namespace, seed: int) -> bool:
    plan = Plan(
        seed=seed,
        duration_s=options.duration,
        senders=options.senders,
        rate=options.rate,
        kinds=tuple(options.kinds),
        disk=not options.no_outbox,
        every_s=options.every,
    )
    directory = Path(tempfile.mkdtemp(prefix="tms-faults-"))
    passed = False
    try:
        passed = _run(plan, options, directory)
    except FAILURES as failure:
        say(f"FAILED: seed {seed} could not be run: {failure!r}")  # the next seed has its turn all the same
    finally:
        if passed and not options.keep:
            shutil.rmtree(directory)
        else:
            say(f"records: {directory}")
    return passed


def _run(plan: Plan, options: argparse.Namespace, directory: Path) -> bool:
    with make_node(options.broker) as node:
        run = conduct(plan, node, directory, say)
    report = make_report(run, check(run.history))
    say(in_words(report))
    for path in (*write(report, run, options.out, _name(report)), write_index(options.out)):
        say(str(path))
    return report.passed


def _name(report: Report) -> str:
    """Name a report by what was run: the next run of the same takes its place."""
    generation = report.broker.partition(".")[0]
    kept = "journal" if report.plan.disk else "no-outbox"
    soak = "-soak" if report.plan.every_s else ""
    return f"rabbitmq-{generation}-{kept}{soak}-seed-{report.plan.seed}"


if __name__ == "__main__":
    sys.exit(main())
