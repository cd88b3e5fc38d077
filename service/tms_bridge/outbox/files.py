"""The outbox's directory, and the room on its disk.

The directory is made for its owner alone, held by one process, its files in their places. Under the free
space lies a floor, and beside the journal a ballast for the day on which the disk is full.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tms_bridge.errors import OutboxBroken, OutboxLocked

FreeBytes = Callable[[Path], int]
"""How much an unprivileged process may still write where this path lies."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)
"""Another time there will be one."""

_SMALLEST_BALLAST = 1 << 20
_LARGEST_BALLAST = 16 << 20

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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


def free_bytes(path: Path) -> int:
    """Ask the file system."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


class Space:
    """Decides whether new events may be written; belongs to the writer thread.

    On a full disk SQLite can neither delete nor checkpoint, so nothing could drain. The ballast is a file
    that is given up then, and made again before new events are taken.
    """

    def __init__(self, ballast: Path, min_free_bytes: int, measure: FreeBytes = free_bytes) -> None:
        self.free = 0
        self.full = ""
        """Why nothing may be written just now; empty when it may."""
        self._ballast = ballast
        self._ballast_bytes = min(max(min_free_bytes // 16, _SMALLEST_BALLAST), _LARGEST_BALLAST)
        self._min_free_bytes = min_free_bytes
        self._measure = measure

    def look(self, reusable_bytes: int) -> None:
        """Measure, make the ballast when there is room for it, and decide.

        Args:
            reusable_bytes: what the journal can write inside its own file.
        """
        self.free = self._measure(self._ballast.parent)
        room = self.free + reusable_bytes
        if room < self._min_free_bytes:
            self.full = (
                f"the disk of {self._ballast.parent} has {self.free} bytes free, under the floor of "
                f"{self._min_free_bytes} (outbox.min_free_bytes)"
            )
        elif self._ballast_ready(room):
            self.full = ""

    def run_out(self) -> None:
        """A write found the disk full: give the ballast up, so that departures can still be written."""
        self.full = f"the disk of {self._ballast.parent} is full"
        self._ballast.unlink(missing_ok=True)

    @property
    def tight(self) -> bool:
        """The ballast is gone, so the log must stay short."""
        return not self._ballast.exists()

    def _ballast_ready(self, room: int) -> bool:
        """Return whether the ballast lies there, making it if that leaves the floor free."""
        with contextlib.suppress(FileNotFoundError):
            if self._ballast.stat().st_size == self._ballast_bytes:
                return True
        return room >= self._min_free_bytes + self._ballast_bytes and self._make_ballast()

    def refuses_a_write(self) -> bool:
        """Say whether a failed write failed for want of room, which SQLite does not tell of a quota."""
        self._ballast.unlink(missing_ok=True)
        try:
            self._allocate_ballast()
        except OSError as error:
            return error.errno in NO_ROOM
        return False

    def _make_ballast(self) -> bool:
        try:
            self._allocate_ballast()
        except OSError as error:
            if error.errno in (*NO_ROOM, *NO_DESCRIPTOR):  # later
                return False
            raise
        return True

    def _allocate_ballast(self) -> None:
        """Make the ballast whole, or leave nothing of it."""
        descriptor = os.open(self._ballast, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._ballast_bytes)
        except OSError:
            self._ballast.unlink()
            raise
        finally:
            os.close(descriptor)


def boot_id() -> str:
    """Return what tells this boot of the machine from every other; empty where nothing does."""
    with contextlib.suppress(OSError):
        return BOOT_ID.read_text(encoding="ascii").strip()
    return ""
