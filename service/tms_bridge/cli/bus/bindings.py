"""The command `bindings check`: which events a queue gets, or got, which not, and why."""

import difflib
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from tms_bridge.broker.archive import Selection, read
from tms_bridge.cli.bus.broker import open_broker
from tms_bridge.cli.bus.replay import MOMENT, archive_name, reported
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import Output, common_options, load, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import SettingsError
from tms_bridge.settings.amqp import routing_keys, takes
from tms_bridge.settings.model import Amqp, Settings


class QueueEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What becomes of one routing key at a queue: a row for people, an element for `--json`.

    Attributes:
        routing_key: the topic.
        gets: whether a binding of the queue takes it.
        why: by which binding, or what differs.
        events: how many of them the archive has; None: it was not asked.
        first: the earliest receipt among them.
        last: the latest.
    """

    routing_key: str
    gets: bool
    why: str
    events: int | None = None
    first: datetime | None = None
    last: datetime | None = None


class ArchivedTopic(msgspec.Struct):
    """How many events of one topic the archive has, with the earliest and the latest receipt."""

    first: datetime
    last: datetime
    events: int = 0

    def add(self, received_at: datetime) -> None:
        """Count one more."""
        self.events += 1
        self.first, self.last = min(self.first, received_at), max(self.last, received_at)


class IdleBinding(msgspec.Struct, frozen=True):
    """A binding that matches no event of this bridge."""

    binding: str
    why: str


class QueueEvents(msgspec.Struct, frozen=True):
    """The document that `--json` prints."""

    queue: str
    bindings: tuple[str, ...]
    events: list[QueueEvent]
    idle: list[IdleBinding]


@click.group()
def bindings() -> None:
    """See which events a queue gets, which it does not, and why."""


@bindings.command()
@common_options
@click.argument("queue", metavar="QUEUE")
@click.option(
    "--binding",
    "patterns",
    multiple=True,
    metavar="KEY",
    help="A binding of the queue, if [[amqp.queues]] does not list it; may be given several times.",
)
@click.option(
    "--since", type=MOMENT, metavar="T", help="Count the archive's events, received since then: 1d, 2h."
)
def check(*, config: Path, out: Output, queue: str, patterns: tuple[str, ...], since: datetime | None) -> int:
    """Say which events QUEUE gets and which not, with the reason; takes no message from it.

    A consumer's own queue is not in the configuration, and AMQP cannot list its bindings:
    `rabbitmqctl list_bindings` names them. With --since the archive is read: how many events there were of
    each topic, so that one sees what a queue has missed. Exits 1 if a binding takes no event, or the queue
    gets none.

    \b
    Examples:
      tms-bridge bindings check crm
      tms-bridge bindings check crm --since 1d
      tms-bridge bindings check rooms --binding 'tms.class.*' --binding 'tms.*.cancelled'
    """  # noqa: D301 - \b is how click is told to keep line breaks
    settings = load(config)
    wanted = patterns or _configured(settings, queue)
    topics = run_async(_topics(settings.amqp, since)) if since is not None else None
    checked = judge(queue, wanted, _keys(settings), topics)
    if out.as_json:
        out.document(checked)
    else:
        _show(out, checked)
    nothing = not any(event.gets for event in checked.events)
    return NO if nothing or checked.idle else DONE


async def _topics(amqp: Amqp, since: datetime) -> dict[str, ArchivedTopic]:
    """Return how many events the archive has, by routing key."""
    topics: dict[str, ArchivedTopic] = {}
    archive = archive_name(amqp)
    selection = Selection(since=since, until=datetime.now(UTC))
    async with (
        open_broker(amqp) as session,
        aclosing(read(session, archive, selection)) as archived,
        aclosing(
            reported(archived, lambda: f"{sum(one.events for one in topics.values()):,} counted")
        ) as events,
    ):
        async for event in events:
            if selection.takes(event):
                one = topics.setdefault(
                    event.routing_key, ArchivedTopic(event.received_at, event.received_at)
                )
                one.add(event.received_at)
    return topics


def _show(out: Output, checked: QueueEvents) -> None:
    if any(event.events is not None for event in checked.events):
        counted = [
            (event.routing_key, event.events or 0, "ok" if event.gets else "no", event.why)
            for event in checked.events
        ]
        out.table(("routing key", "events", "gets it", "why"), counted)
        out.text(visible(_missed(checked)))
    else:
        rows = [(event.routing_key, "ok" if event.gets else "no", event.why) for event in checked.events]
        out.table(("routing key", "gets it", "why"), rows)
    for idle in checked.idle:
        out.text(f"{idle.binding} matches no event of this bridge: {idle.why}", style="yellow")


def _missed(checked: QueueEvents) -> str:
    """Say how many of the archive's events the bindings take, and which others would take the rest."""
    missed = [event for event in checked.events if event.events and not event.gets]
    total = sum(event.events or 0 for event in checked.events)
    lacking = sum(event.events or 0 for event in missed)
    taken = f"{checked.queue} takes {total - lacking:,} of {total:,} events"
    if not missed:
        return taken
    others = ", ".join(f"{event.routing_key} ({event.events:,})" for event in missed)
    return f"{taken}; to get the others, bind it to {others} too"


def judge(
    queue: str,
    patterns: Sequence[str],
    keys: Sequence[str],
    topics: Mapping[str, ArchivedTopic] | None = None,
) -> QueueEvents:
    """Compare a queue's bindings with every routing key that there may be, or was."""
    keys = list(dict.fromkeys([*keys, *(topics or ())]))
    idle = [IdleBinding(pattern, _why_idle(pattern, keys)) for pattern in patterns if not _any(pattern, keys)]
    events = [_event(key, patterns) for key in keys]
    if topics is not None:
        events = [_counted(event, topics.get(event.routing_key)) for event in events]
    return QueueEvents(queue, tuple(patterns), events, idle)


def _counted(event: QueueEvent, one: ArchivedTopic | None) -> QueueEvent:
    if one is None:
        return msgspec.structs.replace(event, events=0)
    return msgspec.structs.replace(event, events=one.events, first=one.first, last=one.last)


def _configured(settings: Settings, name: str) -> tuple[str, ...]:
    for queue in settings.amqp.queues:
        if queue.name == name:
            return queue.bindings
    known = ", ".join(queue.name for queue in settings.amqp.queues) or "none"
    raise SettingsError(
        f"amqp.queues has no queue {name} (configured: {known}); give its bindings with --binding KEY"
    )


def _keys(settings: Settings) -> list[str]:
    prefixes = dict.fromkeys(source.routing_key_prefix for source in settings.sources.values())
    return [key for prefix in prefixes for key in routing_keys(prefix)]


def _any(pattern: str, keys: Sequence[str]) -> bool:
    return any(takes(pattern, key) for key in keys)


def _event(key: str, patterns: Sequence[str]) -> QueueEvent:
    for pattern in patterns:
        if takes(pattern, key):
            return QueueEvent(key, gets=True, why=f"by {pattern}")
    reasons = sorted((_differences(pattern, key) for pattern in patterns), key=len)
    return QueueEvent(key, gets=False, why=", ".join(reasons[0]) if reasons else "the queue has no binding")


def _differences(pattern: str, key: str) -> list[str]:
    """Say what of a key a pattern does not take, word by word."""
    wanted, words = pattern.split("."), key.split(".")
    if "#" in wanted:
        return [f"{pattern} matches other keys"]
    if len(wanted) != len(words):
        return [f"{pattern} has {len(wanted)} words, this has {len(words)}"]
    return [
        f"{pattern} wants {want}, this has {word}"
        for want, word in zip(wanted, words, strict=True)
        if want not in ("*", word)
    ]


def _why_idle(pattern: str, keys: Sequence[str]) -> str:
    near = (
        [pattern.lower()] if _any(pattern.lower(), keys) else difflib.get_close_matches(pattern, keys, 1, 0.8)
    )
    if near:
        return f"did you mean {near[0]}?"
    reason = min((_differences(pattern, key) for key in keys), key=len)
    return reason[0].replace("this has", "events have")
