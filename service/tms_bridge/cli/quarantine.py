"""The command `quarantine`: the bodies that could not be understood, and the events that are held."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tms_bridge.cli.deeds import (
    Choice,
    choice_options,
    do_each,
    drop_each,
    drop_options,
    export_rows,
    fields_of,
    list_options,
    list_rows,
)
from tms_bridge.cli.output import Output, common_options, visible
from tms_bridge.cli.rows import with_rows
from tms_bridge.outbox.rows import QUARANTINE, Row, State
from tms_events import Trigger

COLUMNS = ("id", "state", "received_at", "source", "trigger", "seen", "bytes", "why")


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
    with_rows(config, lambda rows: list_rows(rows, states, limit, out, COLUMNS))


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


@quarantine.command()
@common_options
@drop_options
def drop(*, config: Path, out: Output, ids: tuple[str, ...]) -> int:
    """Forget bodies, or events that are held, for good."""
    return with_rows(config, lambda rows: drop_each(rows, ids, QUARANTINE, out))


@quarantine.command()
@common_options
@click.argument("file", default="-", metavar="[FILE|-]")
def export(*, config: Path, out: Output, file: str) -> None:
    """Write all of it as lines of JSON, bodies in Base64, with nothing left out; it stays.

    FILE is readable by its owner alone, because it holds bodies.
    """
    del out  # an export is lines of JSON either way
    with_rows(config, lambda rows: export_rows(rows, QUARANTINE, file))
