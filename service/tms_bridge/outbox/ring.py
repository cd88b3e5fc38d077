"""The answered ring: which events were answered 2xx, in a way that outlives a SIGKILL.

A file of 8-byte slots beside the journal; `slot[seq % SLOTS]` holds the last seq of that slot that was
answered. It is written just before the first byte of a 2xx, without fsync: the page cache survives the
process, and after a crash of the machine (another boot id) everything counts as answered. A wrong
"unanswered" would make a real event pass for a retry and lose it; a wrong "answered" costs one copy. So
whatever is unknown, overwritten, of another boot or of another journal, counts as answered.
"""

import contextlib
import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from tms_bridge.errors import OutboxBroken

SLOTS = 1 << 18
"""At 10,000 events a second these are 26 s, longer than TMS goes on retrying."""

_MAGIC = b"TMSRING1"
_HEADER = struct.Struct("<8s64s64sQ")  # magic, boot id, journal id, the last seq before this boot
_SLOT = struct.Struct("<Q")
_SLOTS_AT = 4096
_SIZE = _SLOTS_AT + SLOTS * _SLOT.size
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
