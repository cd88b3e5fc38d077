"""Room on the disk: the floor under the free space, and the ballast for the day it is full."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

FreeBytes = Callable[[Path], int]
"""How much an unprivileged process may still write where this path lies."""

_SMALLEST_BALLAST = 1 << 20
_LARGEST_BALLAST = 16 << 20


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

    def _make_ballast(self) -> bool:
        descriptor = os.open(self._ballast, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._ballast_bytes)
        except OSError:  # no room after all
            self._ballast.unlink()
            return False
        finally:
            os.close(descriptor)
        return True
