"""What an operator does to rows, one after the other, and what came of each."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import click
import msgspec

from tms_bridge.cli.output import Output, note, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.cli.rows import Row, Rows, every
from tms_bridge.errors import InvalidQuery, RowBusy, RowMissing, Undecodable
from tms_bridge.outbox.rows import State

F = TypeVar("F", bound=Callable[..., object])


class Deed(msgspec.Struct, frozen=True):
    """What came of one row: a line of `--json`."""

    id: str
    done: bool
    reason: str = ""


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
            raise click.UsageError("name the ids, or else give --all")
        return command(choice=Choice(ids, all_of_them), **others)

    every_one = click.option("--all", "all_of_them", is_flag=True, help="Every one of them, instead of ids.")
    return click.argument("ids", nargs=-1, metavar="[ID]...")(every_one(choose))


def drop_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command its ids, and the `--yes` without which nothing is dropped."""

    @functools.wraps(command)
    def ask(*, yes: bool, **others: object) -> int:
        if not yes:
            raise click.UsageError("a drop cannot be undone: add --yes if it is meant, after an export")
        return command(**others)

    really = click.option("--yes", is_flag=True, help="Really drop; without it nothing is dropped.")
    return really(click.argument("ids", nargs=-1, required=True, metavar="ID...")(ask))


def list_options(states: Sequence[State]) -> Callable[[F], F]:
    """Give a command the states that it lists, one or all of these, and how many rows at most."""

    def read(_context: click.Context, _option: click.Parameter, value: str | None) -> Sequence[State]:
        return states if value is None else (State(value),)

    names = click.Choice([str(state) for state in states])
    one = click.option("--state", "states", type=names, callback=read, help="Only these; default: both.")
    most = click.option(
        "--limit", type=click.IntRange(1), default=100, show_default=True, help="How many, at most."
    )
    return lambda command: one(most(command))


async def drop_each(rows: Rows, ids: tuple[str, ...], states: Sequence[State], out: Output) -> int:
    """Drop each row, and log what is gone."""

    async def drop(row_id: str) -> None:
        row = await rows.shown(row_id, states)
        await rows.drop(row_id, states)
        note(f"dropped {row.state} {row_id} of {row.source}, {row.trigger} {row.entity}, digest {row.digest}")

    return await do_each(Choice(ids).of(rows, states[0]), drop, out, "dropped")


async def do_each(
    ids: AsyncIterator[str], deed: Callable[[str], Awaitable[object]], out: Output, verb: str
) -> int:
    """Do it to each row, say what came of it, and return the exit code."""
    code = DONE
    async for row_id in ids:
        done = await _do(row_id, deed)
        code = code if done.done else NO
        if out.as_json:
            out.line(done)
        elif done.done:
            out.text(f"{verb} {visible(row_id)}")
        else:
            note(f"not {verb} {visible(row_id)}: {visible(done.reason)}")
    return code


async def _do(row_id: str, deed: Callable[[str], Awaitable[object]]) -> Deed:
    try:
        await deed(row_id)
    except (RowMissing, RowBusy, Undecodable, InvalidQuery) as error:
        return Deed(row_id, done=False, reason=str(error))
    return Deed(row_id, done=True)


class Listed(msgspec.Struct, frozen=True):
    """A row without its body: a line of `--json`."""

    state: State
    id: str
    source: str
    trigger: str
    routing_key: str
    entity: str
    received_at: str
    bytes: int
    seen: int
    replayed: bool
    why: str


def listed(row: Row) -> Listed:
    """Return a row as a list shows it."""
    return Listed(
        row.state,
        row.id,
        row.source,
        row.trigger,
        row.routing_key,
        row.entity,
        row.received_at,
        len(row.body),
        row.seen,
        row.replayed,
        row.why,
    )


async def list_rows(
    rows: Rows, states: Iterable[State], limit: int, out: Output, columns: Sequence[str]
) -> None:
    """Print the rows of these states, for people or as lines of JSON."""
    found = [listed(row) async for row in every(rows, states, limit)]
    if out.as_json:
        for row in found:
            out.line(row)
        return
    out.table(
        [column.replace("_", " ") for column in columns],
        [[getattr(row, c) for c in columns] for row in found],
    )
    if len(found) == limit:
        note(f"the first {limit}; --limit shows more")


async def export_rows(rows: Rows, states: Iterable[State], write: Callable[[bytes], object]) -> None:
    """Write every row of these states as a line of JSON, and say how many they were."""
    count = 0
    async for line in rows.exported(states):
        write(line)
        count += 1
    note(f"exported {count}")
