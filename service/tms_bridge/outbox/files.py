"""The outbox's directory, the room on its disk, and the answered ring.

The directory is made for its owner alone, held by one process, its files in their places. Under the free
space lies a floor, and beside the journal a ballast for the day on which the disk is full.

The ring says which events were answered 2xx, in a way that outlives a SIGKILL: a file of 8-byte slots;
`slot[seq % SLOTS]` holds the last seq of that slot that was answered. It is written just before the first
byte of a 2xx, without fsync: the page cache survives the process, and after a crash of the machine (another
boot id) everything counts as answered. A wrong "unanswered" would make a real event pass for a retry and lose
it; a wrong "answered" costs one copy. So whatever is unknown, overwritten, of another boot or of another
journal, counts as answered.
"""

import contextlib
import errno
import fcntl
import os
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
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

SLOTS = 1 << 18
"""At 10,000 events a second these are 26 s, longer than TMS goes on retrying."""

_MAGIC = b"TMSRING1"
_HEADER = struct.Struct("<8s64s64sQ")  # magic, boot id, journal id, the last seq before this boot
_SLOT = struct.Struct("<Q")
_SLOTS_AT = 4096
_SIZE = _SLOTS_AT + SLOTS * _SLOT.size
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


class Ring:
    """The open ring file of one journal."""

    def __init__(self, descriptor: int, floor: int, last_seq: int) -> None:
        self._descriptor = descriptor
        self._newest = last_seq
        self.floor = floor
        """Everything up to this seq counts as answered."""

    @classmethod
    def open(cls, path: Path, *, journal_id: str, last_seq: int, boot: str) -> "Ring":
        """Open the ring, or start it afresh when it is not of this journal and this boot."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            whole = os.fstat(descriptor).st_size == _SIZE
            floor = _floor(os.pread(descriptor, _HEADER.size, 0), journal_id, boot) if whole else None
            if floor is None or floor > last_seq:
                floor = last_seq
                _start(descriptor, _HEADER.pack(_MAGIC, boot.encode(), journal_id.encode(), floor))
        except OSError as error:
            raise OutboxBroken(f"{path} cannot be used: {error.strerror}") from error
        return cls(descriptor, floor, last_seq)

    def mark(self, seqs: Sequence[int]) -> None:
        """Note that these events, in rising order, are answered; neighbours cost one system call together."""
        self._newest = max(self._newest, seqs[-1])
        if seqs[0] <= self._newest - SLOTS:
            # They count as answered by their age, and their slots may be later events'.
            seqs = [seq for seq in seqs if seq > self._newest - SLOTS]
        start = 0
        for end in range(1, len(seqs) + 1):
            if end == len(seqs) or seqs[end] != seqs[end - 1] + 1 or seqs[end] % SLOTS == 0:
                os.pwrite(self._descriptor, array("Q", seqs[start:end]), _place(seqs[start]))
                start = end

    def clear(self, seq: int) -> None:
        """Take `mark` back, unless a later event has the slot by now."""
        if self._slot(seq) == seq:
            os.pwrite(self._descriptor, _SLOT.pack(0), _place(seq))

    def unanswered(self, last_seq: int) -> Iterator[int]:
        """Yield the seqs up to `last_seq` that were not answered, from the newest back."""
        slots = memoryview(os.pread(self._descriptor, SLOTS * _SLOT.size, _SLOTS_AT)).cast("Q")
        for seq in range(last_seq, max(self.floor, last_seq - SLOTS), -1):
            if slots[seq % SLOTS] < seq:
                yield seq

    def _slot(self, seq: int) -> int:
        return int(_SLOT.unpack(os.pread(self._descriptor, _SLOT.size, _place(seq)))[0])

    def close(self) -> None:
        """Let the file go; a commit that is told of after this must not write to whatever gets its number."""
        os.close(self._descriptor)
        self._descriptor = -1


def _place(seq: int) -> int:
    return _SLOTS_AT + seq % SLOTS * _SLOT.size


def _floor(header: bytes, journal_id: str, boot: str) -> int | None:
    """Return the floor that a header tells, or None if the ring is not ours or not of this boot."""
    magic, its_boot, its_journal, floor = _HEADER.unpack(header)
    ours = (magic, its_boot.rstrip(b"\0"), its_journal.rstrip(b"\0")) == (
        _MAGIC,
        boot.encode(),
        journal_id.encode(),
    )
    return int(floor) if ours and boot else None


def _start(descriptor: int, header: bytes) -> None:
    """Write an empty ring, in place if it is there already, so that no mark can meet a full disk."""
    os.posix_fallocate(descriptor, 0, _SIZE)
    os.ftruncate(descriptor, _SIZE)
    os.pwrite(descriptor, bytes(SLOTS * _SLOT.size), _SLOTS_AT)
    os.pwrite(descriptor, header, 0)
    os.fsync(descriptor)
