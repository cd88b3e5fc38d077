"""The command `calls`: what came to a running bridge, refused calls too, and what became of each."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from tms_bridge.admin.calls import CallView, CallViews
from tms_bridge.calls import MAX_ROWS
from tms_bridge.cli.admin_api import AdminApi
from tms_bridge.cli.configuration import load
from tms_bridge.cli.output import Output, common_options, note, visible

COLUMNS = ("time", "answer", "source", "what became of it", "times", "entity", "address", "id")
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
@click.option("--limit", type=click.IntRange(1, MAX_ROWS), default=50, show_default=True, metavar="N")
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
    if follow:
        note("waiting for calls; Ctrl-C ends it")
        for call in _stream(api, f"/api/v1/calls/stream?{urlencode(query)}"):
            _show(out, [call], headed=False)
        return
    path = f"/api/v1/calls?{urlencode({**query, 'limit': str(limit)})}"
    _show(out, api.ask("GET", path, CallViews).calls, headed=True)


def _stream(api: AdminApi, path: str) -> Iterator[CallView]:
    """Yield the calls of server-sent events, each as soon as it has come."""
    for lines in api.lines(path, 1):
        for line in lines:
            if line.startswith(_DATA):
                yield msgspec.json.decode(line.removeprefix(_DATA), type=CallView)


def _show(out: Output, told: list[CallView], *, headed: bool) -> None:
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
