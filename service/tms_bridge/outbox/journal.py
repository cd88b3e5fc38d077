"""The outbox on disk: an event is durable once its batch is committed with fsync."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

import msgspec

from tms_bridge.errors import BridgeError, OutboxBroken, Unavailable
from tms_bridge.message import Message
from tms_bridge.outbox.contract import Durable, OutboxEntry, Receipt, Waiter
from tms_bridge.outbox.database import Ages, Committed, Snapshot, Store
from tms_bridge.outbox.files import Directory, FreeBytes, Space, boot_id, free_bytes
from tms_bridge.outbox.group_commit import GroupCommit, Writer
from tms_bridge.outbox.memory import Tail
from tms_bridge.outbox.operators import Operators
from tms_bridge.outbox.retries import Cases, Clock, Receipts, RetryWindow, Ring, fail, microseconds
from tms_bridge.outbox.rows import Caps, NewRow, State, Stats, pack
from tms_bridge.settings import model as settings

OnCommit = Callable[[float, int], None]
"""Told how many seconds a commit took, and how many rows were new."""

_DAY_US = 86_400_000_000
_RETRY_AFTER_S = 1

# Python 3.11 takes 0.2 µs to look a member of an enumeration up.
_PENDING, _HELD, _UNDECODABLE = State.PENDING, State.HELD, State.UNDECODABLE

MAX_QUEUED_BYTES = 16 << 20
"""So much may wait for a commit, however long the disk takes for one; in memory it is twice as much."""

_log = logging.getLogger(__name__)


class Machine(msgspec.Struct, frozen=True):
    """What the journal asks of the machine; tests say something else.

    Attributes:
        clock: seconds that never go back, the same for every process of one boot.
        free_bytes: how much may still be written where a path lies.
        boot_id: what tells this boot from every other; empty where nothing does.
    """

    clock: Clock = time.monotonic
    free_bytes: FreeBytes = free_bytes
    boot_id: Callable[[], str] = boot_id


class Journal:
    """Intake and Pending on one directory, which it holds from `open` to `close`."""

    durable: Durable = "outbox"

    def __init__(  # noqa: PLR0913, PLR0917 - `open` is how one is made
        self,
        limits: settings.Outbox,
        quarantine: settings.Quarantine,
        dedup: settings.Dedup,
        held: settings.Held,
        machine: Machine,
        on_commit: OnCommit | None,
    ) -> None:
        self._limits = limits
        self._quarantine_limits = quarantine
        self._caps = Caps(limits.max_bytes, held.max_bytes, quarantine.max_bytes)
        self._on_commit = on_commit
        self._window_us = microseconds(dedup.window_s)
        self._machine = machine
        self._receipts = Receipts(dedup.window_s, machine.clock, self._mark)
        self._cases = Cases(dedup.window_s, machine.clock)
        self.join = self._receipts.join
        self._closed = False
        self._ample_bytes = 0
        """So many may wait for a commit without a closer look at caps and disk."""
        self.patience_s = 5.0
        """How long a commit may take until nothing new is taken in: what came would be answered too late."""
        self.broken = asyncio.Event()
        self.failure: OutboxBroken | None = None
        self._writer = Writer(self._observe, self._break)
        self._group = GroupCommit(self._writer, self._landed, self._failed)
        self._directory: Directory
        self._ring: Ring
        self._tail: Tail
        self._snapshot: Snapshot
        self.operators: Operators
        """What operators see and do."""

    @classmethod
    async def open(  # noqa: PLR0913 - the tables of the configuration that concern it
        cls,
        limits: settings.Outbox,
        quarantine: settings.Quarantine | None = None,
        dedup: settings.Dedup | None = None,
        *,
        held: settings.Held | None = None,
        machine: Machine | None = None,
        on_commit: OnCommit | None = None,
    ) -> Self:
        """Open the outbox of a directory, which is made if there is none.

        Raises:
            OutboxLocked: another process holds it.
            OutboxBroken: it is corrupt, or cannot be written.
        """
        quarantine, dedup = quarantine or settings.Quarantine(), dedup or settings.Dedup()
        journal = cls(limits, quarantine, dedup, held or settings.Held(), machine or Machine(), on_commit)
        directory = journal._directory = Directory.hold(Path(limits.dir))
        try:
            await journal._start()
        except BaseException:
            directory.release()
            raise
        return journal

    async def _start(self) -> None:
        """Start the writer, then go on from where the last process stopped."""
        space = Space(self._directory.ballast, self._limits.min_free_bytes, self._machine.free_bytes)
        max_age_us = round(self._quarantine_limits.max_age_days * _DAY_US)
        ages = Ages(self._window_us, max_age_us, self._machine.clock)
        self._snapshot = await self._writer.start(lambda: Store.open(self._directory, space, ages))
        self._observe(self._snapshot)
        try:
            await self._recover()
        except BaseException:
            await self._writer.stop()
            raise

    async def _recover(self) -> None:
        """Remember what TMS may still retry."""
        last_seq = self._snapshot.totals.last_seq
        self._tail = Tail(last_seq)
        parts = self._writer, self._tail, self._group, self._cases
        self.operators = Operators(*parts, caps=lambda: self._caps, stats=self.stats)
        journal_id = await self._writer.call(Store.identity)
        self._ring = Ring.open(
            self._directory.ring, journal_id=journal_id, last_seq=last_seq, boot=self._machine.boot_id()
        )
        since_us = microseconds(self._machine.clock()) - self._window_us
        events, cases = await self._writer.call(
            lambda store: store.queries.unanswered(
                self._ring.unanswered(last_seq), self._ring.floor, since_us
            )
        )
        for event in events:
            self._receipts.restore(event)
        for case in cases:
            self._cases.restore(case)

    async def close(self, timeout_s: float = 30.0) -> bool:
        """Write what is left, move it into the journal proper, and let the directory go.

        Returns:
            False where the disk does not answer in time. Then a thread hangs in it, and the directory is held
            until this process ends; nothing that was answered 2xx is lost.
        """
        self._closed, self._ample_bytes = True, 0
        try:
            async with asyncio.timeout(timeout_s):
                await self._group.drain()
                if self.failure is None:
                    await self._writer.stop()
                else:
                    self._writer.abandon()
        except TimeoutError:
            _log.critical("the disk did not answer in %.1f s; the outbox is left as it is", timeout_s)
            self._writer.abandon(0.0)
            return False
        else:
            self._directory.release()
            return True
        finally:
            self._tail.wake()
            self._ring.close()

    def stats(self) -> Stats:
        """Return the outbox in numbers."""
        return self._snapshot.stats(self._unavailable())

    def why_not_ready(self) -> str | None:
        """Return why nothing new is taken, whatever the broker does; None where it is."""
        return self._unavailable() or None

    async def until_broken(self) -> None:
        """Wait for the end of it.

        Raises:
            OutboxBroken: nothing more can be made durable.
        """
        await self.broken.wait()
        if self.failure is not None:
            raise self.failure

    def share_among(self, sources: Iterable[str]) -> None:
        """Keep to each of these sources its part of every cap."""
        self._caps = msgspec.structs.replace(self._caps, sources=tuple(sources))

    @property
    def newest_us(self) -> int:
        """When the newest body that was ever taken in was received; 0 if none was."""
        return self._snapshot.totals.ledger.newest_us

    async def status(self) -> Stats:
        """Return the outbox in numbers, as of now."""
        self._observe(await self._writer.call(Store.look_now))
        return self.stats()

    # Intake

    def take(self, message: Message, waiter: Waiter) -> None:
        """Make an event durable that is no retry; its waiter is told when it is synced to the disk.

        Raises:
            Unavailable: there is no room for it.
        """
        self._keep(message, message.routing_key, _PENDING, self._receipts, waiter)

    def hold(self, message: Message, waiter: Waiter) -> None:
        """Keep an event in quarantine, unpublished, until an operator releases it."""
        self._keep(message, "", _HELD, self._receipts, waiter)

    def quarantine(self, message: Message, waiter: Waiter) -> None:
        """Keep an undecodable body, and send its copy to the bus; a body is one row within its window."""
        case = self._cases.join(message.digest, waiter)
        if case is None:
            self._keep(message, "", _UNDECODABLE, self._cases, waiter)
        elif case.seq:
            self._group.saw(case.seq, case.seen)

    def unanswered(self, receipt: Receipt) -> None:
        """Take the note back: the connection closed before the whole answer was handed over."""
        again = self._receipts.unanswer(receipt)
        if again is not None:
            self._ring.clear(receipt.seq)
            self._group.owe(again)  # its row may have been settled while it counted as answered

    # Pending

    async def page(self, after: int, limit: int, *, wait: bool = True) -> Sequence[OutboxEntry]:
        """Return up to `limit` pending entries with seq > `after`, in order; none only if told not to wait.

        Raises:
            OutboxBroken: nothing will come any more.
        """
        while True:
            if self.failure is not None:
                raise self.failure
            if after >= self._tail.floor:
                if (entries := self._tail.after(after, limit)) or not wait:
                    return entries
                await self._tail.arrival()
            else:
                after, entries = await self._page_from_disk(after, limit)
                if entries:
                    return entries

    async def _page_from_disk(self, after: int, limit: int) -> tuple[int, list[OutboxEntry]]:
        """Return where to go on, and what of the page has not left in the meantime."""
        floor = self._tail.floor
        entries: list[OutboxEntry] = []

        def keep(page: list[OutboxEntry]) -> None:
            """Before the deletion of a row can land that the page still shows, and `leaving` forgets it."""
            entries.extend(entry for entry in page if entry.seq not in self._group.leaving)

        page = await self._writer.call(lambda store: store.queries.page(after, limit), keep)
        return (page[-1].seq if page else floor), entries

    @property
    def last_seq(self) -> int:
        """The seq of the message that was committed last."""
        return self._snapshot.totals.last_seq

    @property
    def leaving(self) -> int:
        """How many rows were settled or refused and are still on disk."""
        return len(self._group.leaving)

    def settle(self, seq: int) -> None:
        """The broker has it: forget the row with the next batch."""
        self._tail.remove(seq)
        self._group.settle(seq, self._receipts.unanswered(seq))

    def refuse(self, seq: int, reason: str) -> None:
        """No retry can deliver it: park it for an operator."""
        self._tail.remove(seq)
        self._group.refuse(seq, reason)

    # What happens inside

    def _keep(
        self, message: Message, routing_key: str, state: State, window: RetryWindow, waiter: Waiter
    ) -> None:
        """Let a new message wait for its commit, if there is room for it."""
        group, late = self._group, self.late_s
        blob = pack(message)
        room = 0 if late or state is not _PENDING else self._ample_bytes
        if group.queued_bytes + len(blob) > room and (
            reason := self._unavailable()
            or self._caps.why_full(self._snapshot.totals, group.queued(), state, message.source, len(blob))
        ):
            raise Unavailable(reason, retry_after_s=_RETRY_AFTER_S)
        receipt = window.take(message, routing_key, waiter)
        group.arrive(NewRow(message, blob, receipt, state))

    @property
    def late_s(self) -> float:
        """How long a commit has taken that is late; 0 while none is."""
        age_s = time.monotonic() - self._group.writing_since
        return age_s if age_s > self.patience_s else 0.0

    def _unavailable(self) -> str:
        """Say why no row can be taken, whatever it is; empty if one can."""
        if self.failure is not None:
            return "the outbox is broken"
        if self._closed:
            return "the outbox is closed"
        if self.late_s:
            return f"the disk does not answer: a commit has taken longer than {self.patience_s} s"
        if self._group.queued_bytes > MAX_QUEUED_BYTES:
            return f"the disk is too slow: over {MAX_QUEUED_BYTES} bytes wait for it"
        if self._snapshot.event_bytes > self._limits.max_bytes:
            return f"the outbox holds its {self._limits.max_bytes} bytes (outbox.max_bytes)"
        return self._snapshot.full

    def _landed(self, committed: Committed, rows: Sequence[NewRow]) -> None:
        """A batch is on the disk: note it as answered, let its waiters answer, hand it to the relay."""
        self._observe(committed.snapshot)
        if committed.before is None:
            self._failed(Unavailable(self._snapshot.full, retry_after_s=_RETRY_AFTER_S), rows)
            return
        events: list[int] = []
        entries: list[OutboxEntry] = []
        for seq, row in enumerate(rows, committed.before + 1):
            row.receipt.seq = seq
            if row.state is not _UNDECODABLE:
                events.append(seq)
            if row.state is not _HELD:
                entries.append(OutboxEntry(seq, row.message))
        unmarked = self._mark(events) if events else None
        for row in rows:
            if row.state is _UNDECODABLE:
                self._cases.committed(row.receipt)
                if row.receipt.seen > 1:
                    self._group.saw(row.receipt.seq, row.receipt.seen)
            elif unmarked is None:
                self._receipts.committed(row.receipt)
            else:
                fail(row.receipt, unmarked)
        self._tail.extend(entries)
        if self._on_commit is not None:
            self._on_commit(committed.duration_s, len(rows))

    def _mark(self, seqs: Sequence[int]) -> Unavailable | None:
        """Note rising seqs as answered; return what to say instead of a 2xx where that cannot be noted."""
        try:
            self._ring.mark(seqs)
        except OSError as error:
            self._break(OutboxBroken(f"the answered ring broke: {error}"))
            return Unavailable("the outbox broke", retry_after_s=_RETRY_AFTER_S)
        return None

    def _failed(self, error: BridgeError, rows: Sequence[NewRow]) -> None:
        """A batch is not on the disk: its waiters must not answer 2xx, and nothing of it is remembered."""
        if not isinstance(error, Unavailable):
            error = Unavailable(str(error), retry_after_s=_RETRY_AFTER_S)
        for row in rows:
            (self._cases if row.state is _UNDECODABLE else self._receipts).failed(row.receipt, error)

    def _observe(self, snapshot: Snapshot) -> None:
        """Note how the journal stands, and say so when it fills up or has room again."""
        was, self._snapshot = self._snapshot.full, snapshot
        if snapshot.full or self._closed or self.failure is not None:
            self._ample_bytes = 0
        else:  # half of what a cap leaves is nobody's part
            room = self._limits.max_bytes // 2 - snapshot.event_bytes
            self._ample_bytes = min(room, MAX_QUEUED_BYTES)
        if snapshot.full and not was:
            _log.warning("the outbox takes nothing new: %s", snapshot.full)
        if was and not snapshot.full:
            _log.warning("the outbox takes events again")

    def _break(self, failure: OutboxBroken) -> None:
        """Nothing more can be made durable: tell everyone, once."""
        if self.failure is None:
            self.failure, self._ample_bytes = failure, 0
            _log.critical("%s", failure)
            self.broken.set()
            self._group.give_up(failure)
            self._tail.wake()
