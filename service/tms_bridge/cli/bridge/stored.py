"""The commands `outbox` and `quarantine`: the rows of the outbox, and what is done to them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from tms_bridge.cli.bridge.deeds import (
    Choice,
    choice_options,
    do_each,
    drop_each,
    drop_options,
    export_rows,
    fields_of,
    list_options,
    list_rows,
    private_file,
)
from tms_bridge.cli.bridge.rows import Rows, with_rows
from tms_bridge.cli.output import Output, common_options, note, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import InvalidQuery
from tms_bridge.outbox.operators import Imported
from tms_bridge.outbox.queries import Salvage
from tms_bridge.outbox.rows import OUTBOX, QUARANTINE, Row, State, Stats, moment
from tms_events import Trigger

EVENT_COLUMNS = ("id", "state", "received_at", "source", "routing_key", "entity", "bytes", "why")
SHARES = ("source", "pending", "refused", "held", "undecodable", "bytes")
_SHARE_ROWS = ("pending_rows", "refused_rows", "held_rows", "undecodable_rows", "bytes")


@click.group()
def outbox() -> None:
    """Look at the events that wait or were refused.

    With the bridge running, these commands go through its admin API; with the bridge stopped, they open the
    outbox directory themselves.
    """


@outbox.command("status")
@common_options
def show_status(*, config: Path, out: Output) -> None:
    """Show how many events wait, and since when."""
    stats = with_rows(config, lambda rows: rows.status())
    numbers = _numbers(stats)
    if out.as_json:
        out.document({**numbers, "sources": stats.sources})
        return
    out.table(("", ""), [(name.replace("_", " "), value) for name, value in numbers.items()])
    if len(stats.sources) > 1:
        out.text("")
        shares = sorted(stats.sources.items())
        out.table(SHARES, [(name, *(getattr(share, row) for row in _SHARE_ROWS)) for name, share in shares])


def _numbers(stats: Stats) -> dict[str, object]:
    """Return the outbox's numbers as people ask for them, but for what each source has of them."""
    numbers = msgspec.structs.asdict(stats)
    del numbers["sources"]
    oldest_us = numbers.pop("oldest_us")
    oldest_at = moment(oldest_us) if oldest_us is not None else None
    return {"pending": numbers.pop("events"), "bytes": numbers.pop("bytes"), "oldest_at": oldest_at} | numbers


@outbox.command("list")
@common_options
@list_options(OUTBOX)
def list_events(*, config: Path, out: Output, states: Sequence[State], limit: int) -> None:
    """List the events, oldest first, without their bodies."""
    with_rows(config, lambda rows: list_rows(rows, states, limit, out, EVENT_COLUMNS))


@outbox.command()
@common_options
@choice_options
def retry(*, config: Path, out: Output, choice: Choice) -> int:
    """Send refused events again, from the tail, with their old ids."""
    return with_rows(config, lambda rows: do_each(rows, choice, State.REFUSED, rows.retry, out))


@outbox.command("drop")
@common_options
@drop_options
def drop_events(*, config: Path, out: Output, ids: tuple[str, ...]) -> int:
    """Forget events for good, pending or refused."""
    return with_rows(config, lambda rows: drop_each(rows, ids, OUTBOX, out))


@outbox.command("export")
@common_options
@click.argument("file", default="-", metavar="[FILE|-]")
def export_events(*, config: Path, out: Output, file: str) -> None:
    """Write every event as a line of JSON, with nothing left out; the events stay.

    FILE is readable by its owner alone, because it holds bodies.
    """
    del out  # an export is lines of JSON either way
    with_rows(config, lambda rows: export_rows(rows, OUTBOX, file))


@outbox.command("import")
@common_options
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
def import_events(*, config: Path, out: Output, file: BinaryIO) -> None:
    """Append the events of an export, with their old ids; those that are here already are left alone."""
    imported = with_rows(config, lambda rows: _import(rows, file))
    if out.as_json:
        out.document(imported)
    else:
        note(f"imported {imported.imported}, already here {imported.already_here}")


async def _import(rows: Rows, file: BinaryIO) -> Imported:
    try:
        return await rows.import_lines(file)
    except InvalidQuery as error:
        raise click.BadParameter(str(error), param_hint="FILE") from None


@outbox.command("salvage")
@common_options
@click.argument("journal", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="JOURNAL")
@click.argument("file", default="-", metavar="[FILE|-]")
def salvage_rows(*, config: Path, out: Output, journal: Path, file: str) -> int:
    """Write what can still be read of a damaged journal (outbox.db) as the lines of an export.

    Move the damaged directory aside first, let the bridge start with an empty one, then import the lines.
    The journal itself is not changed. Exit code 1 says that something could not be read.
    """
    del config, out  # the damaged file is no longer where the configuration says; its rows are lines of JSON
    salvage = Salvage(journal)
    count = 0
    with private_file(file) as written:
        for count, row in enumerate(salvage.rows(), 1):  # noqa: B007 - counts
            written.write(msgspec.json.encode(row) + b"\n")
    salvage.close()
    for damage in dict.fromkeys(salvage.damage):
        note(damage)
    note(f"{count} rows read")
    return NO if salvage.damage else DONE


BODY_COLUMNS = ("id", "state", "received_at", "source", "trigger", "seen", "bytes", "why")


@click.group()
def quarantine() -> None:
    """Look at bodies not understood and events held.

    With the bridge running, these commands go through its admin API; with the bridge stopped, they open the
    outbox directory themselves.
    """


@quarantine.command("list")
@common_options
@list_options(QUARANTINE)
def list_bodies(*, config: Path, out: Output, states: Sequence[State], limit: int) -> None:
    """List what is in quarantine, oldest first, and why."""
    with_rows(config, lambda rows: list_rows(rows, states, limit, out, BODY_COLUMNS))


@quarantine.command()
@common_options
@click.option("--body", "only_body", is_flag=True, help="Write the body alone, byte for byte.")
@click.argument("row_id", metavar="ID")
def show(*, config: Path, out: Output, row_id: str, only_body: bool) -> None:
    """Show one body, and why it is in quarantine.

    \b
    Example:
      tms-bridge quarantine show ID --body | tms-bridge explain --source contoso --trigger class -
    """  # noqa: D301 - \b is how click is told to keep line breaks
    row = with_rows(config, lambda rows: rows.show(row_id, QUARANTINE))
    if only_body:
        sys.stdout.buffer.write(_body(row))
    elif out.as_json:
        out.document(row)
    else:
        out.table(("", ""), fields_of(row))
        out.text("")
        out.text(visible(_body(row).decode(errors="backslashreplace")))


def _body(row: Row) -> bytes:
    return row.message.body


@quarantine.command()
@common_options
@click.option(
    "--as",
    "trigger",
    type=click.Choice([str(trigger) for trigger in Trigger]),
    help="Read the bodies as this trigger's, where the two URLs were swapped in TMS.",
)
@choice_options
def replay(*, config: Path, out: Output, choice: Choice, trigger: str | None) -> int:
    """Read bodies once more, as the configuration now says; what is understood is sent, the rest stays.

    An event that is held has been understood: it is released, and the answer says so.
    """
    return with_rows(
        config,
        lambda rows: do_each(
            rows, choice, State.UNDECODABLE, lambda one: rows.replay(one, trigger or ""), out
        ),
    )


@quarantine.command()
@common_options
@choice_options
def release(*, config: Path, out: Output, choice: Choice) -> int:
    """Send events that were held because they came from an address that is not listed.

    `quarantine list` and `show` say which address each came from.
    """
    return with_rows(config, lambda rows: do_each(rows, choice, State.HELD, rows.release, out))


@quarantine.command("drop")
@common_options
@drop_options
def drop_bodies(*, config: Path, out: Output, ids: tuple[str, ...]) -> int:
    """Forget bodies, or events that are held, for good."""
    return with_rows(config, lambda rows: drop_each(rows, ids, QUARANTINE, out))


@quarantine.command("export")
@common_options
@click.argument("file", default="-", metavar="[FILE|-]")
def export_bodies(*, config: Path, out: Output, file: str) -> None:
    """Write all of it as lines of JSON, bodies in Base64, with nothing left out; it stays.

    FILE is readable by its owner alone, because it holds bodies.
    """
    del out  # an export is lines of JSON either way
    with_rows(config, lambda rows: export_rows(rows, QUARANTINE, file))
