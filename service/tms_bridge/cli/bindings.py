"""The command `bindings check`: which events a queue gets, which not, and why, without touching the queue."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from tms_bridge.cli.configuration import load
from tms_bridge.cli.output import Output, common_options
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import SettingsError
from tms_bridge.settings.bindings import routing_keys, takes
from tms_bridge.settings.model import Settings


class QueueEvent(msgspec.Struct, frozen=True):
    """What becomes of one routing key at a queue: a row for people, an element for `--json`."""

    routing_key: str
    gets: bool
    why: str


class IdleBinding(msgspec.Struct, frozen=True):
    """A binding that takes no event of this bridge."""

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
    """See which events a queue gets, which not, and why."""


@bindings.command()
@common_options
@click.argument("queue", metavar="QUEUE")
@click.option(
    "--binding",
    "patterns",
    multiple=True,
    metavar="KEY",
    help="A binding of the queue, where [[amqp.queues]] does not have it; may be given several times.",
)
def check(*, config: Path, out: Output, queue: str, patterns: tuple[str, ...]) -> int:
    """Say which events QUEUE gets and which not, with the reason; takes no message and asks no broker.

    A consumer's own queue is not in the configuration, and AMQP has no question for its bindings:
    `rabbitmqctl list_bindings` names them. Exits 1 if a binding takes no event, or the queue gets none.

    \b
    Examples:
      tms-bridge bindings check crm
      tms-bridge bindings check rooms --binding 'tms.class.*' --binding 'tms.*.cancelled'
    """  # noqa: D301 - \b is how click is told to keep line breaks
    settings = load(config)
    checked = judge(queue, patterns or _configured(settings, queue), _keys(settings))
    if out.as_json:
        out.document(checked)
    else:
        rows = [(event.routing_key, "ok" if event.gets else "no", event.why) for event in checked.events]
        out.table(("routing key", "gets it", "why"), rows)
        for idle in checked.idle:
            out.text(f"{idle.binding} takes no event of this bridge: {idle.why}", style="yellow")
    nothing = not any(event.gets for event in checked.events)
    return NO if nothing or checked.idle else DONE


def judge(queue: str, patterns: Sequence[str], keys: Sequence[str]) -> QueueEvents:
    """Compare a queue's bindings with every routing key that there may be."""
    idle = [IdleBinding(pattern, _why_idle(pattern, keys)) for pattern in patterns if not _any(pattern, keys)]
    return QueueEvents(queue, tuple(patterns), [_event(key, patterns) for key in keys], idle)


def _configured(settings: Settings, name: str) -> tuple[str, ...]:
    for queue in settings.amqp.queues:
        if queue.name == name:
            return queue.bindings
    known = ", ".join(queue.name for queue in settings.amqp.queues) or "none"
    raise SettingsError(
        f"amqp.queues has no queue {name} (configured: {known}); say its bindings with --binding KEY"
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
        return [f"{pattern} takes other keys"]
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
