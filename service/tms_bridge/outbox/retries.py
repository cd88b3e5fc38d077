"""Recognition of TMS's retries: the bodies of the last window that were taken in and not answered in full.

In memory that is a receipt for each. On disk the ring says which events were answered 2xx, in a way that
outlives a SIGKILL: a file of 8-byte slots; `slot[seq % SLOTS]` holds the last seq of that slot that was
answered. It is written just before the first byte of a 2xx, without fsync: the page cache survives the
process, and after a crash of the machine (another boot id) everything counts as answered. A wrong
"unanswered" would make a real event pass for a retry and lose it; a wrong "answered" costs one copy. So
whatever is unknown, overwritten, of another boot or of another journal, counts as answered.
"""

import asyncio
import os
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from tms_bridge.errors import OutboxBroken
from tms_bridge.message import Message
from tms_bridge.outbox.contract import Receipt, Waiter

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds that never go back: `time.monotonic`, or a test's."""

Mark = Callable[[Sequence[int]], Exception | None]
"""Notes events as answered; returns what to say instead of a 2xx where that cannot be noted."""

MAX_RECEIPTS = 65_536
"""More unanswered events are not remembered: the oldest is forgotten, which costs a copy at most."""

SLOTS = 1 << 18
"""At 10,000 events a second these are 26 s, longer than TMS goes on retrying."""

_MAGIC = b"TMSRING1"
_HEADER = struct.Struct("<8s64s64sQ")  # magic, boot id, journal id, the last seq before this boot
_SLOT = struct.Struct("<Q")
_SLOTS_AT = 4096
_SIZE = _SLOTS_AT + SLOTS * _SLOT.size


def microseconds(seconds: float) -> int:
    """Return seconds as receipts and the journal have them."""
    return round(seconds * 1_000_000)


def fail(receipt: Receipt, error: Exception) -> None:
    """It is not durable, or cannot be noted as answered: nobody may answer 2xx."""
    for waiter in _release(receipt):
        _tell(waiter.failed, error)


class RetryWindow:
    """What came within the window, by digest; bounded in time and number."""

    def __init__(self, window_s: float, clock: Clock) -> None:
        self._window_us = microseconds(window_s)
        self._clock = clock
        self._by_digest: dict[str, Receipt] = {}
        self._by_seq: dict[int, Receipt] = {}
        """Of those, the events that are durable and not answered."""

    def find(self, digest: str) -> Receipt | None:
        """Return what came of this digest, if its window is not over."""
        receipt = self._by_digest.get(digest)
        return receipt if receipt is not None and self.is_fresh(receipt) else None

    def take(self, message: Message, routing_key: str, waiter: Waiter) -> Receipt:
        """Remember a new body, not yet durable, and who waits for it."""
        taken_us = microseconds(self._clock())
        receipt = Receipt(0, message.id, routing_key, message.digest, taken_us, waiters=(waiter,))
        self._put(receipt)
        return receipt

    def is_fresh(self, receipt: Receipt) -> bool:
        """Say whether its window is not over."""
        return 0 <= microseconds(self._clock()) - receipt.taken_us <= self._window_us

    def failed(self, receipt: Receipt, error: Exception) -> None:
        """It did not become durable: nothing is remembered of it."""
        self._forget(receipt)
        fail(receipt, error)

    def restore(self, receipt: Receipt) -> None:
        """Remember again what is durable."""
        self._put(receipt)

    def forget(self, digest: str) -> None:
        """Take the next body of this digest for a new one."""
        if (receipt := self._by_digest.get(digest)) is not None:
            self._forget(receipt)

    def _put(self, receipt: Receipt) -> None:
        """Remember it as the newest, and forget from the oldest on what is past its window, or too many."""
        known = self._by_digest
        if receipt.digest in known:
            self.forget(receipt.digest)
        known[receipt.digest] = receipt
        while known:
            oldest = next(iter(known.values()))
            if len(known) <= MAX_RECEIPTS and self.is_fresh(oldest):
                return
            self._forget(oldest)

    def _forget(self, receipt: Receipt) -> None:
        if self._by_digest.get(receipt.digest) is receipt:
            del self._by_digest[receipt.digest]
            self._by_seq.pop(receipt.seq, None)


class Cases(RetryWindow):
    """The undecodable bodies of the window: each is one row, however often it comes."""

    def join(self, digest: str, waiter: Waiter) -> Receipt | None:
        """Count a body that came before, and let its waiter wait with the first; None: it is new."""
        case = self.find(digest)
        if case is None:
            return None
        case.seen += 1
        if case.waiters:
            case.waiters += (waiter,)
        else:
            asyncio.get_running_loop().call_soon(_tell, waiter.quarantined, case.id)
        return case

    def committed(self, case: Receipt) -> None:
        """It is kept: say so to all who brought it."""
        for waiter in _release(case):
            _tell(waiter.quarantined, case.id)


class Receipts(RetryWindow):
    """The events of the window that are not answered in full, by digest and, once durable, by seq."""

    def __init__(self, window_s: float, clock: Clock, mark: Mark) -> None:
        super().__init__(window_s, clock)
        self._mark = mark

    def unanswered(self, seq: int) -> Receipt | None:
        """Return the unanswered event of this seq."""
        return self._by_seq.get(seq)

    def join(self, digest: str, waiter: Waiter) -> bool:
        """Let a retry wait with its event, or answer it soon where that is durable; False: it is new."""
        receipt = self.find(digest)
        if receipt is None:
            return False
        if receipt.waiters:
            receipt.waiters += (waiter,)
        else:
            asyncio.get_running_loop().call_soon(self._answer_retry, receipt, waiter)
        return True

    def committed(self, receipt: Receipt) -> None:
        """It is durable and noted as answered: let all who wait for it answer."""
        self._forget(receipt)  # the next equal body is a new event
        waiters = _release(receipt)
        receipt.standing += len(waiters)
        _tell(waiters[0].durable, receipt)
        for waiter in waiters[1:]:
            _tell(waiter.durable, _again(receipt))

    def restore(self, receipt: Receipt) -> None:
        """Remember again what is durable."""
        super().restore(receipt)
        # Only now: what it takes the place of may have had the same seq.
        if self._by_digest.get(receipt.digest) is receipt:
            self._by_seq[receipt.seq] = receipt

    def unanswer(self, receipt: Receipt) -> Receipt | None:
        """A 2xx failed; return the event if it is to be recognised again, for no other 2xx of it stands."""
        event = receipt.first or receipt
        event.standing -= 1
        if event.standing > 0 or not self.is_fresh(event) or self.find(event.digest) is not None:
            return None
        self.restore(event)
        return event

    def _answer_retry(self, event: Receipt, waiter: Waiter) -> None:
        """Note a durable event as answered and let its retry say so; nothing is awaited in between."""
        if (error := self._mark([event.seq])) is not None:
            _tell(waiter.failed, error)
        else:
            self._forget(event)
            event.standing += 1
            _tell(waiter.durable, _again(event))


def _again(event: Receipt) -> Receipt:
    """Return a retry's receipt of an event."""
    return Receipt(event.seq, event.id, event.routing_key, event.digest, event.taken_us, event)


def _release(receipt: Receipt) -> tuple[Waiter, ...]:
    """Return who waits, for the last time."""
    waiters, receipt.waiters = receipt.waiters, ()
    return waiters


def _tell(say: Callable[[T], None], what: T) -> None:
    """Tell one waiter: where that fails, the others and the relay still get theirs."""
    try:
        say(what)
    except Exception as error:  # noqa: BLE001 - it ends in the log
        context = {"message": "whoever waited for an event failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


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
