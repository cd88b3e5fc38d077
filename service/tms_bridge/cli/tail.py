"""The command `tail`."""

import contextlib
from pathlib import Path

import click
import msgspec

from tms_bridge.broker.consumer import Delivery, listen
from tms_bridge.cli.broker import open_broker
from tms_bridge.cli.configuration import load
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import Output, common_options, note, visible
from tms_bridge.settings.model import Amqp

PROPERTIES = ("message_id", "type", "content_type", "timestamp", "delivery_mode", "app_id")


class Shown(msgspec.Struct, frozen=True):
    """A line of `--json`; `body` is the decoded JSON, or Base64 where it is none."""

    routing_key: str
    exchange: str
    redelivered: bool
    properties: dict[str, object]
    headers: dict[str, object]
    body: msgspec.Raw | bytes


@click.command()
@common_options
@click.option(
    "--binding",
    "bindings",
    multiple=True,
    default=("#",),
    show_default=True,
    metavar="KEY",
    help="Only events whose routing key it matches, such as tms.class.*; may be given several times.",
)
@click.option(
    "--exchange", metavar="NAME", help="Another exchange than amqp.exchange, such as tms.quarantine."
)
@click.option("--count", "limit", type=click.IntRange(1), metavar="N", help="End after so many events.")
def tail(
    *, config: Path, out: Output, bindings: tuple[str, ...], exchange: str | None, limit: int | None
) -> None:
    """Show events as they arrive on the bus.

    It has a queue of its own, which takes nothing from other consumers and is gone when it ends. With --json
    each event is a line, with routing key, properties, headers and body.

    \b
    Examples:
      tms-bridge tail
      tms-bridge tail --binding 'tms.class.*' --binding 'tms.*.completed' --json
    """  # noqa: D301 - \b is how click is told to keep line breaks
    amqp = load(config).amqp
    run_async(_tail(amqp, exchange or amqp.exchange, bindings, limit, out))


async def _tail(amqp: Amqp, exchange: str, bindings: tuple[str, ...], limit: int | None, out: Output) -> None:
    def announce() -> None:
        note(f"listening to {exchange} for {', '.join(bindings)}; Ctrl-C ends it")

    async with (
        open_broker(amqp) as session,
        contextlib.aclosing(listen(session, exchange, bindings, announce)) as deliveries,
    ):
        number = 0
        async for delivery in deliveries:
            _show(out, delivery)
            number += 1
            if number == limit:
                return


def _show(out: Output, delivery: Delivery) -> None:
    if not out.as_json:
        out.text(_line(delivery))
        return
    fields = msgspec.structs.asdict(delivery)
    properties = {name: fields[name] for name in PROPERTIES if fields[name] not in (None, "")}
    out.line(
        Shown(
            delivery.routing_key,
            delivery.exchange,
            delivery.redelivered,
            properties,
            delivery.headers,
            _body(delivery.body),
        )
    )


def _body(body: bytes) -> msgspec.Raw | bytes:
    """Return JSON on one line, digit for digit; what is no JSON stays bytes."""
    try:
        msgspec.json.decode(body)
        return msgspec.Raw(msgspec.json.format(body, indent=-1))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return body


def _line(delivery: Delivery) -> str:
    parts = (
        delivery.headers.get("cloudEvents_time") or delivery.timestamp,
        delivery.routing_key,
        delivery.headers.get("cloudEvents_subject"),
        delivery.headers.get("cloudEvents_source"),
        delivery.message_id,
        "replayed" if delivery.headers.get("tms-replayed") else None,
    )
    return visible("  ".join(str(part) for part in parts if part))
