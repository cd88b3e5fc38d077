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
)
from tms_bridge.cli.output import Output, common_options, note
from tms_bridge.cli.rows import Rows, Status, with_rows
from tms_bridge.errors import InvalidQuery
from tms_bridge.outbox.records import OUTBOX
from tms_bridge.outbox.rows import State

COLUMNS = ("id", "state", "received_at", "source", "routing_key", "entity", "bytes", "why")


@click.group()
def outbox() -> None:
    """Look at the events that wait, or were refused.

    With the bridge running, these commands go through its admin API; with the bridge stopped, they open the
    outbox directory themselves.
    """


@outbox.command("status")
@common_options
def show_status(*, config: Path, out: Output) -> None:
    """Show how many events wait, and how long the oldest does."""
    status = with_rows(config, lambda rows: rows.status())
    if out.as_json:
        out.document(status)
        return
    names = (name.replace("_", " ") for name in Status.__struct_fields__)
    out.table(("", ""), zip(names, msgspec.structs.astuple(status), strict=True))


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
    return with_rows(
        config,
        lambda rows: do_each(choice.of(rows, State.REFUSED), rows.retry, out, "retried"),
    )


@outbox.command()
@common_options
@drop_options
def drop(*, config: Path, out: Output, ids: tuple[str, ...]) -> int:
    """Forget events for good, pending or refused."""
    return with_rows(config, lambda rows: drop_each(rows, ids, OUTBOX, out))


@outbox.command()
@common_options
@click.argument("file", type=click.File("wb", lazy=False), default="-", metavar="[FILE|-]")
def export(*, config: Path, out: Output, file: BinaryIO) -> None:
    """Write every event as a line of JSON, with nothing left out; the events stay."""
    del out  # an export is lines of JSON either way
    with_rows(config, lambda rows: export_rows(rows, OUTBOX, file.write))


class Imported(msgspec.Struct, frozen=True):
    """What `--json` prints of an import."""

    imported: int
    already_here: int


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
        return Imported(*await rows.imported(file))
    except InvalidQuery as error:
        raise click.BadParameter(str(error), param_hint="FILE") from None
