"""The command `outbox`: the events that wait, and those that were refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from tms_bridge.cli.deeds import (
    Choice,
    choice_options,
    do_each,
    drop_each,
    drop_options,
    export_rows,
    list_options,
    list_rows,
    private_file,
)
from tms_bridge.cli.output import Output, common_options, note
from tms_bridge.cli.program import DONE, NO
from tms_bridge.cli.rows import Rows, with_rows
from tms_bridge.errors import InvalidQuery
from tms_bridge.outbox.operators import Imported
from tms_bridge.outbox.queries import Salvage
from tms_bridge.outbox.rows import OUTBOX, State, Stats, moment

COLUMNS = ("id", "state", "received_at", "source", "routing_key", "entity", "bytes", "why")


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
    numbers = _numbers(with_rows(config, lambda rows: rows.status()))
    if out.as_json:
        out.document(numbers)
    else:
        out.table(("", ""), [(name.replace("_", " "), value) for name, value in numbers.items()])


def _numbers(stats: Stats) -> dict[str, object]:
    """Return the outbox's numbers as people ask for them."""
    numbers = msgspec.structs.asdict(stats)
    oldest_us = numbers.pop("oldest_us")
    oldest_at = moment(oldest_us) if oldest_us is not None else None
    return {"pending": numbers.pop("events"), "bytes": numbers.pop("bytes"), "oldest_at": oldest_at} | numbers


@outbox.command("list")
@common_options
@list_options(OUTBOX)
def list_events(*, config: Path, out: Output, states: Sequence[State], limit: int) -> None:
    """List the events, oldest first, without their bodies."""
    with_rows(config, lambda rows: list_rows(rows, states, limit, out, COLUMNS))


@outbox.command()
@common_options
@choice_options
def retry(*, config: Path, out: Output, choice: Choice) -> int:
    """Send refused events again, from the tail, with their old ids."""
    return with_rows(config, lambda rows: do_each(rows, choice, State.REFUSED, rows.retry, out))


@outbox.command()
@common_options
@drop_options
def drop(*, config: Path, out: Output, ids: tuple[str, ...]) -> int:
    """Forget events for good, pending or refused."""
    return with_rows(config, lambda rows: drop_each(rows, ids, OUTBOX, out))


@outbox.command()
@common_options
@click.argument("file", default="-", metavar="[FILE|-]")
def export(*, config: Path, out: Output, file: str) -> None:
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
