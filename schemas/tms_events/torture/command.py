"""`tms-events torture -- COMMAND`: its arguments, and its report for people and programs."""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Sequence

import msgspec

from tms_events.topics import EXCHANGE, PREFIX
from tms_events.torture.ordeals import ORDEALS, name_of
from tms_events.torture.run import Plan, UnfitError, Verdict, torture

_SHOWN = 3


def main(arguments: Sequence[str]) -> int:
    """Run it; return 1 where the consumer did something wrong, 2 where nothing can be judged."""
    options = _parser().parse_args(arguments)
    if not options.url:
        sys.stderr.write("set AMQP_URL, or say --url: a virtual host of the run's own\n")
        return 2
    try:
        verdict = asyncio.run(torture(_plan(options), _progress))
    except UnfitError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the consumer was killed, its queues and the exchange are deleted\n")
        return 2
    sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n" if options.json else report(verdict))
    return 0 if verdict.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tms-events torture",
        description="Does to a consumer what may happen to it, and tells what it did wrong.",
    )
    names = [name_of(ordeal) for ordeal in ORDEALS]
    parser.add_argument(
        "consumer", nargs="+", metavar="COMMAND", help="starts the consumer; after two dashes"
    )
    parser.add_argument("--url", default=os.environ.get("AMQP_URL"), help="the broker; AMQP_URL if left out")
    parser.add_argument(
        "--variable", default="AMQP_URL", metavar="NAME", help="where the consumer looks for the broker's URL"
    )
    parser.add_argument("--exchange", default=EXCHANGE, help="the topic exchange, if it is another one")
    parser.add_argument(
        "--prefix", default=PREFIX, help="the first word of routing keys, if it is another one"
    )
    parser.add_argument(
        "--dead-letters", metavar="QUEUE", help="where they are, if a policy of the broker says it"
    )
    parser.add_argument(
        "--latest", action="store_true", help="only the latest state of each entity counts to this consumer"
    )
    parser.add_argument(
        "--only", nargs="+", choices=names, default=[], metavar="ORDEAL", help=", ".join(names)
    )
    parser.add_argument("--seed", type=int, help="repeats the choices of another run")
    parser.add_argument("--limit", type=float, default=60.0, metavar="SECONDS", help="for all ordeals; 60")
    parser.add_argument(
        "--patience", type=float, default=5.0, metavar="SECONDS", help="until a message counts as stuck; 5"
    )
    parser.add_argument("--json", action="store_true", help="the report as one JSON document")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        command=options.consumer,
        url=options.url,
        seed=random.randrange(1 << 16) if options.seed is None else options.seed,  # noqa: S311 - to be repeated
        variable=options.variable,
        exchange=options.exchange,
        prefix=options.prefix,
        limit_s=options.limit,
        patience_s=options.patience,
        ordeals=options.only,
        latest=options.latest,
        dead_letters=options.dead_letters,
    )


def _progress(ordeal: str) -> None:
    sys.stderr.write(f"{ordeal} ...\n")


def report(verdict: Verdict) -> str:
    """Return a verdict for people: each ordeal with its result, then each finding with what to do."""
    lines = []
    for ordeal in verdict.ordeals:
        wrong = sorted({finding.kind for finding in verdict.findings if finding.ordeal == ordeal.name})
        result = ", ".join(wrong) or "passed"
        lines.append(f"{ordeal.name:16} {ordeal.messages:4} messages {ordeal.duration_s:6.2f} s  {result}")
        lines.append(f"{'':16} {ordeal.meaning}")
    lines += ["", *_findings(verdict)]
    messages = sum(ordeal.messages for ordeal in verdict.ordeals)
    result = "passed" if verdict.passed else f"failed, {len(verdict.findings)} findings"
    lines.append(
        f"{result}: {messages} messages in {', '.join(verdict.queues)}; --seed {verdict.seed} does it again"
    )
    return "\n".join(lines) + "\n"


def _findings(verdict: Verdict) -> list[str]:
    """Return the findings that have one remedy together: where, a few in full, how many more, what to do."""
    lines = []
    remedies = dict.fromkeys((finding.kind, finding.remedy) for finding in verdict.findings)
    for kind, remedy in remedies:
        alike = [one for one in verdict.findings if (one.kind, one.remedy) == (kind, remedy)]
        lines.append(f"{kind} in {', '.join(dict.fromkeys(one.ordeal for one in alike))}:")
        lines += [f"  {one.id or 'no one event'}: {one.text}" for one in alike[:_SHOWN]]
        lines += [f"  and {len(alike) - _SHOWN} more"] if len(alike) > _SHOWN else []
        lines += [f"  {remedy}", ""]
    return lines
