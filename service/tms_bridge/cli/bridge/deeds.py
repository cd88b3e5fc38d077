"""What an operator asks of rows, one after the other, and what came of each."""

import contextlib
import functools
import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import BinaryIO, TypeVar

import click
import msgspec

from tms_bridge.cli.bridge.rows import Rows, every
from tms_bridge.cli.output import Output, note, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.errors import InvalidQuery, RowBusy, RowMissing, RowUnfit, Undecodable
from tms_bridge.outbox.operators import Done
from tms_bridge.outbox.rows import Row, State

F = TypeVar("F", bound=Callable[..., object])

_REFUSALS = (RowMissing, RowBusy, RowUnfit, Undecodable, InvalidQuery)


class Deed(msgspec.Struct, frozen=True):
    """What came of one row: a line of `--json`; `what` was done to it, or the reason why nothing was."""

    id: str
    done: bool
    reason: str = ""
    what: str = ""


class Choice(msgspec.Struct, frozen=True):
    """The rows that a deed is for: those with these ids, or all."""

    ids: tuple[str, ...]
    all_of_them: bool = False

    async def of(self, rows: Rows, state: State) -> AsyncIterator[str]:
        """Yield their ids; all are all of this state."""
        if self.all_of_them:
            async for row in every(rows, (state,)):
                yield row.id
        else:
            for row_id in self.ids:
                yield row_id


def choice_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command ids, or `--all` instead of them, as its `choice`."""

    @functools.wraps(command)
    def choose(*, ids: tuple[str, ...], all_of_them: bool, **others: object) -> int:
        if bool(ids) == all_of_them:
            raise click.UsageError("give ids or --all")
        return command(choice=Choice(ids, all_of_them), **others)

    every_one = click.option("--all", "all_of_them", is_flag=True, help="All of them, instead of ids.")
    return click.argument("ids", nargs=-1, metavar="[ID]...")(every_one(choose))


def drop_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command its ids, and the `--yes` without which nothing is dropped."""

    @functools.wraps(command)
    def ask(*, yes: bool, **others: object) -> int:
        if not yes:
            raise click.UsageError("a drop cannot be undone: export first, then add --yes")
        return command(**others)

    really = click.option("--yes", is_flag=True, help="Really drop; without it nothing is dropped.")
    return really(click.argument("ids", nargs=-1, required=True, metavar="ID...")(ask))


def list_options(states: Sequence[State]) -> Callable[[F], F]:
    """Give a command the states that it lists, one or all of these, and how many rows at most."""

    def read(_context: click.Context, _option: click.Parameter, value: str | None) -> Sequence[State]:
        return states if value is None else (State(value),)

    names = click.Choice([str(state) for state in states])
    one = click.option(
        "--state", "states", type=names, callback=read, help="Only those in this state; default: both."
    )
    most = click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(1),
        default=100,
        show_default=True,
        help="How many, at most.",
    )
    return lambda command: one(most(command))


async def drop_each(rows: Rows, ids: tuple[str, ...], states: Sequence[State], out: Output) -> int:
    """Drop each row, and say what is gone."""

    async def drop(row_id: str) -> Done:
        done = await rows.drop(row_id, states)
        row = done.row
        note(f"dropped {row.state} {row_id} of {row.source}, {row.trigger} {row.entity}, digest {row.digest}")
        return done

    return await do_each(rows, Choice(ids), states[0], drop, out)


async def do_each(
    rows: Rows, choice: Choice, state: State, deed: Callable[[str], Awaitable[Done]], out: Output
) -> int:
    """Do it to each row, say what came of it and of all together, and return the exit code."""
    done = failed = 0
    async for row_id in choice.of(rows, state):
        came_of_it = await _do(row_id, deed)
        done, failed = done + came_of_it.done, failed + (not came_of_it.done)
        if out.as_json:
            out.line(came_of_it)
        elif came_of_it.done:
            out.text(f"{came_of_it.what} {visible(row_id)}")
        else:
            note(f"not done: {visible(row_id)}: {visible(came_of_it.reason)}")
    if choice.all_of_them:
        note(f"{done} done, {failed} not" if done or failed else f"nothing is {state}")
    return NO if failed else DONE


async def _do(row_id: str, deed: Callable[[str], Awaitable[Done]]) -> Deed:
    try:
        done = await deed(row_id)
    except _REFUSALS as error:
        return Deed(row_id, done=False, reason=str(error))
    return Deed(row_id, done=True, what=done.done)


async def list_rows(
    rows: Rows, states: Sequence[State], limit: int, out: Output, columns: Sequence[str]
) -> None:
    """Print the rows of these states, for people or as lines of JSON; say so where there are none."""
    found = [row async for row in every(rows, states, limit)]
    if not found:
        note(f"nothing is {' or '.join(states)}")
    elif out.as_json:
        for row in found:
            out.line(row)
    else:
        out.table(
            ["" if column == "why" else column.replace("_", " ") for column in columns],
            [[getattr(row, column) for column in columns] for row in found],
        )
    if len(found) == limit:
        note(f"the first {limit}; --limit shows more")


async def export_rows(rows: Rows, states: Sequence[State], path: str) -> None:
    """Write every row of these states as a line of JSON, and say how many they were."""
    count = 0
    with private_file(path) as file:
        async for lines in rows.export(states):
            file.write(b"".join(lines))
            count += len(lines)
    note(f"exported {count}")


@contextlib.contextmanager
def private_file(path: str) -> Iterator[BinaryIO]:
    """Open a file that only its owner may read, for it will hold bodies; `-` is standard output."""
    if path == "-":
        yield sys.stdout.buffer
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)  # it may have been there before
        yield file


def fields_of(row: Row) -> list[tuple[str, object]]:
    """Return what a person wants to know of a row, but its body."""
    return [
        (name.replace("_", " "), getattr(row, name))
        for name in row.__struct_fields__
        if name not in ("body", "received_at_us", "reason")
    ]
