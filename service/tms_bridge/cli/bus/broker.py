"""How a command reaches the broker, by the configured URLs; the commands `topology` and `unroutable`."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import click
import msgspec
from yarl import URL

from tms_bridge.broker import topology as broker_topology
from tms_bridge.broker.consumer import UNROUTABLE_QUEUE, Replayed, replay, waiting
from tms_bridge.broker.session import Session, open_session
from tms_bridge.broker.supervisor import amqp_url, tls_context
from tms_bridge.broker.topology import Finding, Part, configured
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import Output, common_options, load, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import BrokerError
from tms_bridge.settings.model import Amqp

CONNECT_TIMEOUT_S = 10.0
NAME = "tms-bridge command line"

bindings_option = click.option(
    "--binding",
    "bindings",
    multiple=True,
    default=("#",),
    show_default=True,
    metavar="KEY",
    help="Only events whose routing key it matches, such as tms.class.*; may be given several times.",
)
"""Gives a command the topics that it is about; all, if none is named."""


async def connect(amqp: Amqp, url: URL) -> Session:
    """Open a connection to one broker.

    Raises:
        BrokerError: it cannot be reached or refuses; the text says why, without the password.
    """
    # What the AMQP client logs comes as an error too; its tracebacks are not for whoever types a command.
    for client in ("aiormq", "aio_pika"):
        logging.getLogger(client).addHandler(logging.NullHandler())
    return await open_session(
        url,
        context=tls_context(url),
        heartbeat_s=amqp.heartbeat_s,
        name=NAME,
        timeout_s=CONNECT_TIMEOUT_S,
    )


@contextlib.asynccontextmanager
async def open_broker(amqp: Amqp) -> AsyncIterator[Session]:
    """Open a connection to the first broker that answers, and close it in the end.

    Raises:
        BrokerError: none answers; the text says why for each.
    """
    failures = []
    for url in map(amqp_url, amqp.urls):
        try:
            session = await connect(amqp, url)
        except BrokerError as failure:
            failures.append(str(failure))
            continue
        try:
            yield session
        finally:
            await session.close()
        return
    raise BrokerError("\n".join(failures))


Step = Callable[[Session, Sequence[Part]], Awaitable[list[Finding]]]


class _Compared(msgspec.Struct, frozen=True):
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
        out.table(_Compared.__struct_fields__, [msgspec.structs.astuple(row) for row in compared])
    return NO if any(finding.wrong for finding in findings) else DONE


def _compared(finding: Finding) -> _Compared:
    part = finding.part
    return _Compared(
        part.kind, part.name, part.exchange, part.routing_key, str(finding.state), finding.detail
    )


class UnroutableCount(msgspec.Struct, frozen=True):
    """What `--json` prints of the queue."""

    queue: str
    events: int


@click.group()
def unroutable() -> None:
    """Look at events that no queue wanted.

    The bridge publishes them to tms.unroutable instead, where they wait for a queue to be bound.
    """


@unroutable.command("status")
@common_options
def show_status(*, config: Path, out: Output) -> None:
    """Show how many events wait in tms.unroutable."""

    async def run(amqp: Amqp) -> int:
        async with open_broker(amqp) as session:
            return await waiting(session)

    found = UnroutableCount(UNROUTABLE_QUEUE, run_async(run(load(config).amqp)))
    if out.as_json:
        out.document(found)
    else:
        out.table(("", ""), [("queue", found.queue), ("events", found.events)])


@unroutable.command("replay")
@common_options
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), help="How many, at most; default: all that are waiting."
)
def replay_events(*, config: Path, out: Output, limit: int | None) -> int:
    """Send them again, now that a queue is bound.

    Each keeps its id, is marked tms-replayed, and leaves tms.unroutable once the broker has confirmed it. One
    that still no queue wants goes back there, which is exit code 1.
    """
    return run_async(_replay(load(config).amqp, out, limit))


async def _replay(amqp: Amqp, out: Output, limit: int | None) -> int:
    code = DONE
    async with open_broker(amqp) as session:
        number = min(await waiting(session), limit or 1 << 62)
        async with contextlib.aclosing(replay(session, amqp.exchange, number)) as done:
            async for event in done:
                code = code if event.routed else NO
                _show(out, event)
    return code


def _show(out: Output, event: Replayed) -> None:
    if out.as_json:
        out.line(event)
    else:
        deed = "replayed" if event.routed else "still unroutable"
        out.text(visible(f"{deed}  {event.routing_key}  {event.id}"))
