"""The rows that `outbox` and `quarantine` work on: the directory itself, or the bridge that holds it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from tms_bridge.cli.bridge.admin_api import AdminApi, NoBridge
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import load
from tms_bridge.errors import BridgeError, OutboxError, OutboxLocked, RowMissing, SettingsError
from tms_bridge.ingest import reread, rules_of
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.operators import PAGE_ROWS, Done, Imported
from tms_bridge.outbox.rows import QUARANTINE, Row, State, Stats
from tms_bridge.settings.model import Outbox, Settings

T = TypeVar("T")

_API: Final = "/api/v1"
_EXPORTED_AT_ONCE: Final = 1 << 20


class Rows(Protocol):
    """What commands ask of the rows; `Operators` says what each means, and what it raises."""

    async def status(self) -> Stats:
        """Return the numbers."""
        ...

    async def rows(self, states: Sequence[State], after: int = 0, limit: int = PAGE_ROWS) -> list[Row]:
        """Return rows of these states without their bodies, in order."""
        ...

    async def show(self, row_id: str, states: Sequence[State]) -> Row:
        """Return one row with its body."""
        ...

    async def retry(self, event_id: str) -> Done:
        """Send a refused event again."""
        ...

    async def release(self, event_id: str) -> Done:
        """Send a held event."""
        ...

    async def replay(self, row_id: str, trigger: str = "") -> Done:
        """Read an undecodable body once more."""
        ...

    async def drop(self, row_id: str, states: Sequence[State]) -> Done:
        """Forget a row for good."""
        ...

    def export(self, states: Sequence[State]) -> AsyncIterator[list[bytes]]:
        """Yield all rows as lines."""
        ...

    async def import_lines(self, lines: Iterable[bytes]) -> Imported:
        """Append exported rows."""
        ...


async def every(rows: Rows, states: Sequence[State], at_most: int | None = None) -> AsyncIterator[Row]:
    """Yield the rows of these states, oldest first, a page at a time."""
    left, after = at_most, 0
    while left != 0 and (
        page := await rows.rows(states, after, PAGE_ROWS if left is None else min(PAGE_ROWS, left))
    ):
        for row in page:
            yield row
        after = page[-1].seq
        left = None if left is None else left - len(page)


def with_rows(config: Path, work: Callable[[Rows], Awaitable[T]]) -> T:
    """Do some work on the rows that a configuration keeps, and return what came of it."""

    async def run(settings: Settings) -> T:
        async with open_rows(settings) as rows:
            return await work(rows)

    return run_async(run(load(config)))


@contextlib.asynccontextmanager
async def open_rows(settings: Settings) -> AsyncIterator[Rows]:
    """Go through the admin API of the bridge that runs with this configuration, else open its directory.

    The API is asked first: the bridge may see the directory where this command cannot, in a container or
    as another user.

    Raises:
        SettingsError: this configuration keeps nothing on disk.
        OutboxError: there is no outbox yet, or it is held by a process whose admin API does not answer.
    """
    if settings.outbox is None:
        raise SettingsError(
            "there is no [outbox] in this configuration, so nothing is kept here; undecodable bodies are in "
            "the queue tms.quarantine"
        )
    api = AdminApi(settings.admin)
    try:
        _check_same(api, settings.outbox)
    except BridgeError as error:
        async with _on_disk(settings, settings.outbox, error) as rows:
            yield rows
    else:
        yield _OverApi(api)


def _check_same(api: AdminApi, outbox: Outbox) -> None:
    """Make sure that who answers keeps this outbox; two bridges of one machine may name one admin port.

    Raises:
        NoBridge: nothing listens there.
        BridgeError: what answers is no bridge, does not let us in, or has another outbox.
    """
    theirs = api.ask("GET", f"{_API}/status", _Status).outbox_dir
    both_here = theirs is not None and Path(theirs).exists() and Path(outbox.dir).exists()
    if theirs is not None and both_here and not Path(theirs).samefile(outbox.dir):
        raise BridgeError(f"the bridge at {api} is another one: its outbox is {theirs}, not {outbox.dir}")


@contextlib.asynccontextmanager
async def _on_disk(settings: Settings, outbox: Outbox, unreached: BridgeError) -> AsyncIterator[Rows]:
    """Open the directory, since no bridge could be asked."""
    if not Path(outbox.dir).is_dir():  # noqa: ASYNC240 - nothing else runs on this loop
        if not isinstance(unreached, NoBridge):
            raise unreached
        raise OutboxError(f"there is no outbox at {outbox.dir} yet; a bridge creates it when it starts")
    try:
        journal = await Journal.open(outbox, settings.quarantine, settings.dedup, held=settings.held)
    except OutboxLocked:
        if not isinstance(unreached, NoBridge):
            raise unreached from None
        raise OutboxLocked(
            f"the outbox directory {outbox.dir} is held by another process, and {unreached}; "
            "look at [admin] listen, or stop the bridge"
        ) from None
    rules = {
        (name, str(trigger)): rule
        for name, source in settings.sources.items()
        for trigger, rule in rules_of(name, source).items()
    }
    journal.operators.reread = lambda message, trigger: reread(message, rules, trigger)
    try:
        yield journal.operators
    finally:
        await journal.close()


class _Status(msgspec.Struct):
    """What the commands read of `/api/v1/status`."""

    outbox: Stats
    outbox_dir: str | None = None


class _Page(msgspec.Struct):
    """A page of a list."""

    rows: list[Row]


class _OverApi:
    """The rows of a bridge that runs, through its admin API."""

    def __init__(self, api: AdminApi) -> None:
        self._api = api

    async def status(self) -> Stats:
        """Return the numbers."""
        return self._api.ask("GET", f"{_API}/status", _Status).outbox

    async def rows(self, states: Sequence[State], after: int = 0, limit: int = PAGE_ROWS) -> list[Row]:
        """Return rows of these states without their bodies, in order."""
        query = f"after={after}&limit={limit}{_state(states, '&')}"
        return self._api.ask("GET", f"{_collection(states)}?{query}", _Page).rows

    async def show(self, row_id: str, states: Sequence[State]) -> Row:
        """Return one row with its body."""
        row = self._api.ask("GET", f"{_collection(states)}/{_quoted(row_id)}", Row)
        if row.state not in states:
            raise RowMissing(f"{row_id} is {row.state}")
        return row

    async def retry(self, event_id: str) -> Done:
        """Send a refused event again."""
        return self._api.ask("POST", f"{_API}/outbox/{_quoted(event_id)}/retry", Done)

    async def release(self, event_id: str) -> Done:
        """Send a held event."""
        return self._api.ask("POST", f"{_API}/quarantine/{_quoted(event_id)}/release", Done)

    async def replay(self, row_id: str, trigger: str = "") -> Done:
        """Read an undecodable body once more."""
        query = f"?as={trigger}" if trigger else ""
        return self._api.ask("POST", f"{_API}/quarantine/{_quoted(row_id)}/replay{query}", Done)

    async def drop(self, row_id: str, states: Sequence[State]) -> Done:
        """Forget a row for good."""
        return self._api.ask("DELETE", f"{_collection(states)}/{_quoted(row_id)}", Done)

    async def export(self, states: Sequence[State]) -> AsyncIterator[list[bytes]]:
        """Yield all rows as lines."""
        path = f"{_collection(states)}/export{_state(states, '?')}"
        for lines in self._api.lines(path, _EXPORTED_AT_ONCE):
            yield lines

    async def import_lines(self, lines: Iterable[bytes]) -> Imported:
        """Append exported rows."""
        return self._api.ask("POST", f"{_API}/outbox", Imported, lines)


def _state(states: Sequence[State], mark: str) -> str:
    return f"{mark}state={states[0]}" if len(states) == 1 else ""


def _quoted(row_id: str) -> str:
    """Return an id as a path holds it, whatever bytes were typed for it."""
    return quote(row_id, safe="", errors="surrogateescape")


def _collection(states: Sequence[State]) -> str:
    return f"{_API}/{'quarantine' if states[0] in QUARANTINE else 'outbox'}"
