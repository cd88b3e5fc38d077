"""The commands `status` and `calls`: how a running bridge is, and what became of each call to it."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from tms_bridge.admin.calls import CallView, CallViews
from tms_bridge.admin.status import Status
from tms_bridge.calls import MAX_ROWS
from tms_bridge.cli.bridge.admin_api import AdminApi
from tms_bridge.cli.output import Output, common_options, load, note, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import InvalidQuery
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


COLUMNS = ("time", "answer", "source", "", "times", "entity", "address", "id")
"""What became of a call has no heading: it is a sentence."""

_DATA = b"data: "


@click.command()
@common_options
@click.option("--follow", is_flag=True, help="Show calls as they come and as they change, until Ctrl-C.")
@click.option(
    "--source", default="", metavar="NAME", help="Only calls to this source; - for calls to no source."
)
@click.option(
    "--outcome", default="", metavar="WORD", help="Only with this outcome, such as refused or held."
)
@click.option("--address", default="", metavar="ADDRESS", help="Only from this address, or range of them.")
@click.option("--id", "wanted", default="", metavar="ID", help="Only with this event id or request id.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_ROWS),
    default=50,
    show_default=True,
    metavar="N",
    help="How many, at most.",
)
def calls(*, config: Path, out: Output, follow: bool, limit: int, wanted: str, **filters: str) -> None:
    """Show the calls to a running bridge, and what became of each.

    The newest comes first. Refused calls are included, with what to do about them; several alike share a row
    with a count. With --json each call is a line. Times are UTC.

    \b
    Examples:
      tms-bridge calls --outcome refused
      tms-bridge calls --follow --source contoso --json
    """  # noqa: D301 - \b is how click is told to keep line breaks
    api = AdminApi(load(config).admin)
    query = {name: word for name, word in {**filters, "id": wanted}.items() if word}
    try:
        if follow:
            note("waiting for calls; Ctrl-C ends it")
            for call in _stream(api, f"/api/v1/calls/stream?{urlencode(query)}"):
                _show_calls(out, [call], headed=False)
        else:
            path = f"/api/v1/calls?{urlencode({**query, 'limit': str(limit)})}"
            _show_calls(out, api.ask("GET", path, CallViews).calls, headed=True)
    except InvalidQuery as wrong:
        raise click.UsageError(str(wrong)) from None


def _stream(api: AdminApi, path: str) -> Iterator[CallView]:
    """Yield the calls of server-sent events, each as soon as it has come."""
    for lines in api.lines(path, 1):
        for line in lines:
            if line.startswith(_DATA):
                yield msgspec.json.decode(line.removeprefix(_DATA), type=CallView)


def _show_calls(out: Output, told: list[CallView], *, headed: bool) -> None:
    if out.as_json:
        for call in told:
            out.line(call)
    elif headed:
        out.table(COLUMNS, map(_cells, told))
        for remedy in dict.fromkeys(call.remedy for call in told if call.remedy):
            out.text(visible(remedy))
    else:
        for call in told:
            cells = (*_cells(call), call.remedy)
            out.text(visible("  ".join(str(cell) for cell in cells if cell)))


def _cells(call: CallView) -> tuple[object, ...]:
    where = " ".join(part for part in (call.source, call.trigger) if part) or call.path
    times = call.count if call.count > 1 else ""
    time = f"{call.time:%Y-%m-%d %H:%M:%S}"
    return time, call.http_status, where, call.reason, times, call.entity, call.address, call.id
