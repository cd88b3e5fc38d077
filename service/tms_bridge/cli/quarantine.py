"""The command `quarantine`: the bodies that could not be understood, and the events that are held."""

import base64
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from tms_bridge.cli.deeds import (
    Choice,
    Listed,
    choice_options,
    do_each,
    drop_each,
    drop_options,
    export_rows,
    list_options,
    list_rows,
    listed,
)
from tms_bridge.cli.output import Output, common_options, visible
from tms_bridge.cli.rows import Row, with_rows
from tms_bridge.outbox.records import QUARANTINE
from tms_bridge.outbox.rows import State

COLUMNS = ("id", "state", "received_at", "source", "trigger", "seen", "bytes", "why")


@click.group()
def quarantine() -> None:
    """Look at bodies not understood, and events held.

    With the bridge running, these commands go through its admin API; with the bridge stopped, they open the
    outbox directory themselves.
    """


@quarantine.command("list")
@common_options
@list_options(QUARANTINE)
def list_bodies(*, config: Path, out: Output, states: Sequence[State], limit: int) -> None:
    """List what is in quarantine, oldest first, and why."""
    with_rows(config, lambda rows: list_rows(rows, states, limit, out, COLUMNS))


class Shown(msgspec.Struct, frozen=True):
    """What `--json` prints of one row; `body` is None where it is no text."""

    row: Listed
    body: str | None
    body_base64: str


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
    row = with_rows(config, lambda rows: rows.shown(row_id, QUARANTINE))
    if only_body:
        sys.stdout.buffer.write(row.body)
    elif out.as_json:
        out.document(Shown(listed(row), _text(row.body), base64.b64encode(row.body).decode()))
    else:
        out.table(("", ""), [(name.replace("_", " "), value) for name, value in _fields(row)])
        out.text("")
        out.text(visible(row.body.decode(errors="backslashreplace")))


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _fields(row: Row) -> list[tuple[str, object]]:
    return list(msgspec.structs.asdict(listed(row)).items())


@quarantine.command()
@common_options
@choice_options
def replay(*, config: Path, out: Output, choice: Choice) -> int:
    """Read bodies once more, as the configuration now says; what is understood is sent, the rest stays."""
    return with_rows(
        config,
        lambda rows: do_each(choice.of(rows, State.UNDECODABLE), rows.replay, out, "replayed"),
    )


@quarantine.command()
@common_options
@choice_options
def release(*, config: Path, out: Output, choice: Choice) -> int:
    """Send events that were held because they came from an address that is not listed."""
    return with_rows(
        config,
        lambda rows: do_each(choice.of(rows, State.HELD), rows.release, out, "released"),
    )


@quarantine.command()
@common_options
@drop_options
def drop(*, config: Path, out: Output, ids: tuple[str, ...]) -> int:
    """Forget bodies, or events that are held, for good."""
    return with_rows(config, lambda rows: drop_each(rows, ids, QUARANTINE, out))


@quarantine.command()
@common_options
@click.argument("file", type=click.File("wb", lazy=False), default="-", metavar="[FILE|-]")
def export(*, config: Path, out: Output, file: BinaryIO) -> None:
    """Write all of it as lines of JSON, bodies in Base64, with nothing left out; it stays."""
    del out  # an export is lines of JSON either way
    with_rows(config, lambda rows: export_rows(rows, QUARANTINE, file.write))
