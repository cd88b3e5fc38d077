"""Who holds the rows just now."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from tms_bridge.cli.admin_api import AdminApi, NoBridge
from tms_bridge.cli.configuration import load
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.rows.interface import Rows
from tms_bridge.cli.rows.on_disk import OnDisk
from tms_bridge.cli.rows.over_api import OverApi
from tms_bridge.errors import BridgeError, OutboxError, OutboxLocked, SettingsError
from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Outbox, Settings

T = TypeVar("T")


class _Place(msgspec.Struct):
    """What is read of `/api/v1/status` to know whose bridge it is."""

    outbox_dir: str | None = None


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
        yield OverApi(api)


def _check_same(api: AdminApi, outbox: Outbox) -> None:
    """Make sure that who answers keeps this outbox; two bridges of one machine may name one admin port.

    Raises:
        NoBridge: nothing listens there.
        BridgeError: what answers is no bridge, does not let us in, or has another outbox.
    """
    theirs = api.ask("GET", "/api/v1/status", _Place).outbox_dir
    both_here = theirs is not None and Path(theirs).exists() and Path(outbox.dir).exists()
    if theirs is not None and both_here and not Path(theirs).samefile(outbox.dir):
        raise BridgeError(f"the bridge at {api} is another one: its outbox is {theirs}, not {outbox.dir}")


@contextlib.asynccontextmanager
async def _on_disk(settings: Settings, outbox: Outbox, unreached: BridgeError) -> AsyncIterator[Rows]:
    """Open the directory, since no bridge could be asked."""
    if not Path(outbox.dir).is_dir():  # noqa: ASYNC240 - nothing else runs on this loop
        if not isinstance(unreached, NoBridge):
            raise unreached
        raise OutboxError(f"there is no outbox at {outbox.dir} yet; a bridge makes it when it starts")
    try:
        journal = await Journal.open(outbox, settings.quarantine, settings.dedup)
    except OutboxLocked:
        if not isinstance(unreached, NoBridge):
            raise unreached from None
        raise OutboxLocked(
            f"the outbox directory {outbox.dir} is held by another process, and {unreached}; "
            "look at [admin] listen, or stop the bridge"
        ) from None
    try:
        yield OnDisk(journal, settings.sources)
    finally:
        await journal.close()
