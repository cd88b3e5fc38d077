"""The command `unroutable`: events that no queue wanted."""

import contextlib
from pathlib import Path

import click
import msgspec

from tms_bridge.broker.consumer import UNROUTABLE_QUEUE, Replayed, replay, waiting
from tms_bridge.cli.broker import open_broker
from tms_bridge.cli.configuration import load
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import Output, common_options, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.settings.model import Amqp


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
@click.option("--limit", type=click.IntRange(1), help="How many, at most; default: all that are waiting.")
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
