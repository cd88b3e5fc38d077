"""What is seen of the senders' bodies, kept over restarts in a small file beside the outbox.

The file is a convenience: where it is missing, unreadable or of another version, seeing begins anew.
"""

import asyncio
import threading
from pathlib import Path
from typing import Final

import msgspec

from tms_bridge.ingest import News, Observation, Observations
from tms_bridge.log import Logger
from tms_bridge.metrics import IntakeMetrics

FILE_NAME: Final = "fields.json"
_VERSION: Final = 1
_KEEP_EVERY_S: Final = 60.0
_LAST_S: Final = 1.0


class KeptObservations(msgspec.Struct, frozen=True):
    """The content of the file."""

    version: int
    observations: tuple[Observation, ...]


class ObservationKeeper:
    """Reads the file at start, and writes it now and then, and at the end."""

    def __init__(self, directory: str | None, metrics: IntakeMetrics, logger: Logger) -> None:
        """Go on from what is in the directory; without one, everything is forgotten at the end."""
        self._path = None if directory is None else Path(directory) / FILE_NAME
        self._metrics = metrics
        self._logger = logger
        kept = () if self._path is None else read_observations(self._path)
        self.observations = Observations(kept, self._tell)
        self._kept = self.observations.bodies

    async def run(self, every_s: float = _KEEP_EVERY_S) -> None:
        """Write the file now and then, for ever."""
        while True:
            await asyncio.sleep(every_s)
            self.keep()

    def keep(self) -> threading.Thread | None:
        """Write the file if anything came; return the thread that does it."""
        bodies = self.observations.bodies
        if self._path is None or bodies == self._kept:
            return None
        content = msgspec.json.encode(KeptObservations(_VERSION, self.observations.all()))
        self._kept = bodies
        # A thread of its own, which the end of the process does not wait for: a disk may hang.
        thread = threading.Thread(target=self._replace, args=(self._path, content), daemon=True)
        thread.start()
        return thread

    async def close(self) -> None:
        """Write the file for the last time, and give it a second."""
        if (thread := self.keep()) is not None:
            await asyncio.to_thread(thread.join, _LAST_S)

    def _replace(self, path: Path, content: bytes) -> None:
        new = path.with_suffix(".new")
        try:
            new.touch(mode=0o600)
            new.write_bytes(content)
            new.replace(path)
        except OSError as error:
            self._logger.warning(
                "the record of members could not be written", file=str(path), detail=str(error)
            )

    def _tell(self, news: News) -> None:
        self._metrics.members_new.inc(news.source, news.trigger)
        self._logger.warning(
            "the sender's bodies have changed",
            new="a member came with a new type" if news.known_member else "a member came for the first time",
            source=news.source,
            trigger=news.trigger,
            member=news.path,
            type=news.type,
            detail="tms-bridge fields shows what comes and how it is read",
        )


def read_observations(path: Path) -> tuple[Observation, ...]:
    """Return what a file holds; nothing where there is none that can be read."""
    try:
        content = msgspec.json.decode(path.read_bytes(), type=KeptObservations)
    except (OSError, msgspec.DecodeError):
        return ()
    return content.observations if content.version == _VERSION else ()
