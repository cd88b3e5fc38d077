"""Who holds the rows just now."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from tms_bridge.cli.admin_api import AdminApi, NoBridge
from tms_bridge.cli.configuration import load
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.rows.interface import Rows
from tms_bridge.cli.rows.on_disk import OnDisk
from tms_bridge.cli.rows.over_api import OverApi
from tms_bridge.errors import OutboxError, OutboxLocked, SettingsError
from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Settings

T = TypeVar("T")


def with_rows(config: Path, work: Callable[[Rows], Awaitable[T]]) -> T:
    """Do some work on the rows that a configuration keeps, and return what came of it."""

    async def run(settings: Settings) -> T:
        async with open_rows(settings) as rows:
            return await work(rows)

    return run_async(run(load(config)))


@contextlib.asynccontextmanager
async def open_rows(settings: Settings) -> AsyncIterator[Rows]:
    """Open the outbox directory, or go through the admin API of the bridge that holds it.

    Raises:
        SettingsError: this configuration keeps nothing on disk.
        OutboxError: there is no outbox yet, or it is held by a process whose admin API does not answer.
    """
    if settings.outbox is None:
        raise SettingsError(
            "there is no [outbox] in this configuration, so nothing is kept here; undecodable bodies are in "
            "the queue tms.quarantine"
        )
    if not Path(settings.outbox.dir).is_dir():  # noqa: ASYNC240 - nothing else runs on this loop
        raise OutboxError(
            f"there is no outbox at {settings.outbox.dir} yet; a bridge makes it when it starts"
        )
    try:
        journal = await Journal.open(settings.outbox, settings.quarantine, settings.dedup)
    except OutboxLocked:
        yield await _over_api(settings, settings.outbox.dir)
        return
    try:
        yield OnDisk(journal, settings.sources)
    finally:
        await journal.close()


async def _over_api(settings: Settings, directory: str) -> Rows:
    rows = OverApi(AdminApi(settings.admin))
    try:
        await rows.status()
    except NoBridge as error:
        raise OutboxLocked(
            f"the outbox directory {directory} is held by another process, and {error}; "
            "look at [admin] listen, or stop the bridge"
        ) from None
    return rows
