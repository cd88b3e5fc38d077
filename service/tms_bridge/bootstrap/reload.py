"""Reads the configuration again when asked, and when a file of it has changed.

Files are looked at by their status and by where their symlinks lead, since Kubernetes updates a mounted
ConfigMap or Secret by turning a symlink around.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import Gauge

from tms_bridge.bootstrap.standing import Reloads
from tms_bridge.errors import SettingsError
from tms_bridge.log import Logger
from tms_bridge.settings.load import Loaded
from tms_bridge.settings.model import Settings

LOOK_EVERY_S: Final = 2.0

Marks = tuple[tuple[str, int, int, int] | None, ...]


class Reloader:
    """Applies a new configuration that is valid as a whole; an invalid one changes nothing."""

    def __init__(  # noqa: PLR0913 - what it reads, whom it tells, what it tells them
        self,
        loaded: Loaded,
        read: Callable[[], Loaded],
        apply: Callable[[Settings], Awaitable[None]],
        *,
        asked: asyncio.Event,
        success: Gauge,
        reloads: Reloads,
        logger: Logger,
    ) -> None:
        self._files: Sequence[Path] = loaded.files
        self._marks = _marks(self._files)
        self._read = read
        self._apply = apply
        self._asked = asked
        self._success = success
        self._reloads = reloads
        self._logger = logger

    async def run(self) -> None:
        """Reload for as long as the service runs."""
        while True:
            try:
                await self._asked_or_changed()
                self._asked.clear()
                await self._reload()
            except SettingsError as error:
                self._refuse(str(error))
            except Exception as error:  # noqa: BLE001 - whatever a new file brings, the bridge runs on with the old
                self._refuse(f"{type(error).__name__}: {error}")

    async def _asked_or_changed(self) -> None:
        while not self._asked.is_set():
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._asked.wait()
            except TimeoutError:
                if await asyncio.to_thread(_marks, self._files) != self._marks:
                    return

    async def _reload(self) -> None:
        self._marks = await asyncio.to_thread(_marks, self._files)
        loaded = await asyncio.to_thread(self._read)
        await self._apply(loaded.settings)
        self._files = loaded.files
        self._marks = await asyncio.to_thread(_marks, self._files)
        self._success.set(1)
        self._reloads.taken(time.time())
        self._logger.info("configuration reloaded", sources=sorted(loaded.settings.sources))

    def _refuse(self, reason: str) -> None:
        self._success.set(0)
        self._reloads.refused(time.time(), reason)
        self._logger.error("configuration refused, the old one stays", detail=reason)


def _marks(files: Sequence[Path]) -> Marks:
    return tuple(map(_mark, files))


def _mark(file: Path) -> tuple[str, int, int, int] | None:
    try:
        status = file.stat()
        return os.path.realpath(file), status.st_ino, status.st_mtime_ns, status.st_size
    except OSError:
        return None


def taken_over(old: Settings, new: Settings) -> Settings:
    """Return the settings that are in force once a reload has taken over what it can."""
    return msgspec.structs.replace(
        old,
        sources=new.sources,
        admin=msgspec.structs.replace(old.admin, token=new.admin.token, tokens=new.admin.tokens),
        amqp=msgspec.structs.replace(old.amqp, urls=new.amqp.urls, queues=new.amqp.queues),
        log=msgspec.structs.replace(old.log, level=new.log.level),
    )


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """Name the keys that are not in force yet."""
    tables = [(table, getattr(old, table), getattr(new, table)) for table in Settings.__struct_fields__]
    return [key for table in tables for key in _changed(*table)]


def _changed(table: str, old: msgspec.Struct | None, new: msgspec.Struct | None) -> list[str]:
    """Name the keys of a table that differ; the table alone where it came or went."""
    if old is None or new is None or isinstance(old, dict):
        return [] if old == new else [table]
    names = old.__struct_fields__
    return [f"{table}.{name}" for name in names if getattr(old, name) != getattr(new, name)]
