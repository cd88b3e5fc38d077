"""The command `topology`: exchanges, queues and bindings as configured against as they are."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click
import msgspec

from tms_bridge.broker import topology as broker_topology
from tms_bridge.broker.session import Session
from tms_bridge.broker.topology import Finding, Part, configured
from tms_bridge.cli.broker import open_broker
from tms_bridge.cli.configuration import load
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import Output, common_options
from tms_bridge.cli.program import DONE, NO
from tms_bridge.settings.model import Amqp

Step = Callable[[Session, Sequence[Part]], Awaitable[list[Finding]]]


class Compared(msgspec.Struct, frozen=True):
    """One exchange, queue or binding: a row for people, an element for `--json`."""

    kind: str
    name: str
    exchange: str
    routing_key: str
    state: str
    detail: str


@click.group()
def topology() -> None:
    """Compare exchanges, queues and bindings with the broker's."""


@topology.command()
@common_options
def show(*, config: Path, out: Output) -> int:
    """Show what is configured, and whether the broker matches it.

    Creates nothing. AMQP cannot query a binding, so its state is unknown. Exits 1 if something is
    missing or differs.
    """
    return _compare(load(config).amqp, broker_topology.show, out)


@topology.command()
@common_options
def apply(*, config: Path, out: Output) -> int:
    """Create what is missing; change nothing that is there.

    RabbitMQ cannot change an exchange or queue that exists with other arguments: it has to be deleted
    first, or the configuration changed. Exits 1 if anything still differs from the configuration.
    """
    return _compare(load(config).amqp, broker_topology.apply, out)


def _compare(amqp: Amqp, step: Step, out: Output) -> int:
    async def run() -> list[Finding]:
        async with open_broker(amqp) as session:
            return await step(session, configured(amqp))

    findings = run_async(run())
    compared = [_compared(finding) for finding in findings]
    if out.as_json:
        out.document(compared)
    else:
        out.table(Compared.__struct_fields__, [msgspec.structs.astuple(row) for row in compared])
    return NO if any(finding.wrong for finding in findings) else DONE


def _compared(finding: Finding) -> Compared:
    part = finding.part
    return Compared(part.kind, part.name, part.exchange, part.routing_key, str(finding.state), finding.detail)
