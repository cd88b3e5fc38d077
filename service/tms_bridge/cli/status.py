"""The command `status`: one sentence on how things stand, then the numbers, from a running bridge."""

from pathlib import Path

import click
import msgspec

from tms_bridge.admin.status import Status
from tms_bridge.cli.admin_api import AdminApi
from tms_bridge.cli.configuration import load
from tms_bridge.cli.output import Output, common_options, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.outbox.rows import Share, moment

STYLES = {"ok": "green", "idle": "", "warn": "yellow", "bad": "bold red"}
BAD = "bad"

_SHARES = ("source", "in flight", "outbox bytes", "held bytes", "not understood bytes")


@click.command()
@common_options
def status(*, config: Path, out: Output) -> int:
    """Say how a running bridge is, in a sentence and in numbers.

    Asks the admin API of the bridge that runs with this configuration. Exits 1 if something must be done now,
    or if no bridge answers. Times are UTC.

    \b
    Example:
      tms-bridge status
    """  # noqa: D301 - \b is how click is told to keep line breaks
    answer = AdminApi(load(config).admin).ask("GET", "/api/v1/status", msgspec.Raw)
    told = msgspec.json.decode(answer, type=Status)
    if out.as_json:
        out.document(msgspec.Raw(bytes(answer)))
    else:
        _show(out, told)
    return NO if any(saying.kind == BAD for saying in told.sayings) else DONE


def _show(out: Output, told: Status) -> None:
    for number, saying in enumerate(told.sayings):
        out.text(visible(saying.one), style=STYLES.get(saying.kind, ""))
        if saying.then:
            out.text(f"  {visible(saying.then)}")
        if number == 0:
            out.text("")
    if len(told.sayings) > 1:
        out.text("")
    out.table(("", ""), _numbers(told))
    sources = sorted({*told.in_flight, *told.outbox.sources})
    if len(sources) > 1:
        out.text("")
        out.table(_SHARES, [_share_of(source, told) for source in sources])


def _share_of(source: str, told: Status) -> tuple[str, ...]:
    """Return what one source has of what all share."""
    stored = told.outbox.sources.get(source, Share())
    sizes = stored.event_bytes, stored.held_bytes, stored.undecodable_bytes
    return source, *(f"{number:,}" for number in (told.in_flight.get(source, 0), *sizes))


def _numbers(told: Status) -> list[tuple[str, object]]:
    outbox, broker = told.outbox, told.broker
    oldest = moment(outbox.oldest_us) if outbox.oldest_us is not None else None
    rows: list[tuple[str, object]] = [
        ("ready", "yes" if told.ready else f"no: {'; '.join(told.not_ready)}"),
        ("broker", broker.state),
        ("outstanding", f"{broker.outstanding:,}"),
        ("outbox", told.outbox_dir or "none: a 2xx waits for the broker"),
        ("waiting", f"{outbox.events:,}"),
        ("bytes", f"{outbox.bytes:,}"),
        ("oldest received", oldest),
        ("refused", f"{outbox.refused:,}"),
        ("held", f"{outbox.held:,}"),
        ("not understood", f"{outbox.undecodable:,}"),
        ("taken", f"{told.rates.taken_per_s:g} a second"),
        ("delivered", f"{told.rates.delivered_per_s:g} a second"),
        ("version", told.version),
    ]
    return [(label, value) for label, value in rows if value is not None]
