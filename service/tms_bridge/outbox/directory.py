"""The outbox's directory: made for its owner alone, held by one process, its files in their places."""

import fcntl
import os
from pathlib import Path

from tms_bridge.errors import OutboxBroken, OutboxLocked


class Directory:
    """A directory that this process holds until it closes it."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.journal = path / "outbox.db"
        self.ring = path / "answered.ring"
        self.ballast = path / "ballast"
        self._lock = lock

    @classmethod
    def hold(cls, path: Path) -> "Directory":
        """Make the directory if need be, and hold it.

        Raises:
            OutboxLocked: another process holds it.
            OutboxBroken: it cannot be written.
        """
        try:
            _make(path)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OutboxBroken(_cannot(path, error)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise OutboxLocked(
                f"the outbox directory {path} is held by another process; stop that bridge, "
                "or go through its admin API, or give this one a directory of its own (outbox.dir)"
            ) from error
        return cls(path, lock)

    def create_journal(self) -> None:
        """Create the journal's empty file if there is none, for its owner alone.

        Raises:
            OutboxBroken: a log without its journal lies here, or the file cannot be made.
        """
        log = self.path / (self.journal.name + "-wal")
        try:
            os.close(os.open(self.journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            orphan = self.journal.stat().st_size == 0 and log.exists() and log.stat().st_size > 0
        except OSError as error:
            raise OutboxBroken(_cannot(self.path, error)) from error
        if orphan:
            raise OutboxBroken(
                f"{log} holds events but {self.journal} is empty or gone; put the journal back, "
                "or move both away to start with an empty outbox"
            )

    def sync(self) -> None:
        """Make the names in it durable."""
        for path in (self.path, self.path.parent):
            _sync(path)

    def release(self) -> None:
        """Let another process hold it."""
        os.close(self._lock)


def _make(path: Path) -> None:
    """Make a directory and its parents, each name durable."""
    for level in reversed((path, *path.parents)):
        if not level.exists():
            level.mkdir(mode=0o700, exist_ok=True)
            _sync(level.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot(path: Path, error: OSError) -> str:
    return (
        f"the outbox directory {path} cannot be used: {error.strerror}; it must be a directory on a local "
        "file system that this user may write to"
    )
