"""Group commit: what comes and goes while one transaction runs is in the next; one thread writes them all."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, TypeVar, cast

from tms_bridge.errors import BridgeError, OutboxBroken, Unavailable
from tms_bridge.outbox.contract import Receipt
from tms_bridge.outbox.database import Committed, Snapshot, Store, is_fatal
from tms_bridge.outbox.rows import Batch, NewRow, State, Totals

T = TypeVar("T")

LOOK_EVERY_S = 1.0

_log = logging.getLogger(__name__)


class Writer:
    """A thread with a store, from `start` to `stop`."""

    def __init__(self, observe: Callable[[Snapshot], None], broke: Callable[[OutboxBroken], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._observe = observe
        self._broke = broke
        self._jobs: SimpleQueue[Callable[[Store], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        self._failure: OutboxBroken | None = None

    async def start(self, open_store: Callable[[], Store]) -> Snapshot:
        """Open the store in the thread; return how it stands.

        Raises:
            OutboxError: as `Store.open` does.
        """
        opened: asyncio.Future[Snapshot] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._run, args=(open_store, opened), name="outbox", daemon=True
        )
        self._thread.start()
        return await opened

    def submit(self, work: Callable[[Store], T], done: Callable[[T | None, Exception | None], None]) -> None:
        """Do this after all that was submitted before; `done` gets the result or the error, on the loop."""
        self._jobs.put(lambda store: self._attempt(store, work, done))

    async def call(self, work: Callable[[Store], T], landed: Callable[[T], None] | None = None) -> T:
        """Do a reader's or an operator's work; return its result.

        Args:
            work: what is done in the thread.
            landed: called with the result before whatever is submitted later lands, even if nobody waits.
        """
        answer: asyncio.Future[T] = self._loop.create_future()

        def done(result: T | None, error: Exception | None) -> None:
            if error is None and landed is not None:
                landed(cast("T", result))
            if answer.done():  # whoever asked has gone
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(cast("T", result))

        self.submit(lambda store: store.do(work), done)
        return await answer

    async def stop(self) -> None:
        """Do what is left, close the store, end the thread."""
        try:
            await self.call(Store.close)
        finally:
            self.abandon()

    def abandon(self, wait_s: float = 1.0) -> None:
        """End the thread and leave the store as it is; one that hangs in the disk ends with the process."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(wait_s)
        if self._store is not None:
            self._store.leave_open()

    def _run(self, open_store: Callable[[], Store], opened: asyncio.Future[Snapshot]) -> None:
        try:
            self._store = open_store()
        except Exception as error:  # noqa: BLE001 - who waits for it to open must hear of a defect too
            self._post(opened.set_exception, error)
            return
        self._post(opened.set_result, self._store.snapshot())
        self._serve(self._store)

    def _serve(self, store: Store) -> None:
        look_at = time.monotonic() + LOOK_EVERY_S
        while True:
            with contextlib.suppress(Empty):
                job = self._jobs.get(timeout=max(0.0, look_at - time.monotonic()))
                if job is None:
                    return
                job(store)
                self._upkeep(store.rest)
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_EVERY_S
                self._upkeep(store.look)
                self._post(self._observe, store.snapshot())

    def _attempt(
        self,
        store: Store,
        work: Callable[[Store], T],
        done: Callable[[T | None, Exception | None], None],
    ) -> None:
        """Do one job, unless the store is broken, and say what came of it."""
        result: T | None = None
        error: Exception | None = self._failure
        try:
            if error is None:
                result = work(store)
        except Exception as failure:  # noqa: BLE001 - the thread outlives all: it alone can tell those who wait
            # A full disk has been dealt with by now; what an argument or a defect did was rolled back.
            error = self._break(failure) if is_fatal(failure) else failure
        self._post(done, result, error)

    def _upkeep(self, work: Callable[[], None]) -> None:
        """Do what nobody waits for."""
        if self._failure is None:
            try:
                work()
            except Exception as failure:  # noqa: BLE001 - as in `_attempt`; a defect ends in the log
                if is_fatal(failure):
                    self._break(failure)
                else:
                    _log.exception("the outbox could not be maintained")

    def _break(self, failure: Exception) -> OutboxBroken:
        """From now on nothing is written: what a failed sync has left on the disk is not known."""
        broken = OutboxBroken(
            f"the outbox broke: {failure}. Nothing more is written to it; look at the disk, then start again"
        )
        broken.__cause__ = failure
        self._failure = broken
        if self._store is not None:
            self._store.leave_open()
        self._post(self._broke, broken)
        return broken

    def _post(self, callback: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
            self._loop.call_soon_threadsafe(callback, *values)


MAX_ARRIVALS = 256
FEW_ARRIVALS = 4
"""After a batch of so few the next goes at once, so that the writer works while the loop answers; after a
larger one the loop is busy, and what a turn of it adds to the next saves commits."""

ENOUGH_SETTLED = 64
"""So many wake the writer by themselves; fewer wait for the next arrivals, or for LINGER_S."""

LINGER_S = 0.01
STUCK_S = 1.0
"""How long departures wait that a full disk did not take."""

NEVER: Final = float("inf")


class GroupCommit:
    """The loop's side of the writer: at most one batch is being written, one is gathering."""

    def __init__(
        self,
        writer: Writer,
        landed: Callable[[Committed, Sequence[NewRow]], None],
        failed: Callable[[BridgeError, Sequence[NewRow]], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = writer
        self._landed = landed
        self._failed = failed
        self._gathering = Batch()
        self._stuck = False
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.Handle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        """Set while no commit is being made."""
        self.writing_since = NEVER
        """When the commit that is being made began, by the monotonic clock."""
        self.queued_bytes = 0
        """Of what arrived and is not committed yet."""
        self._queued: dict[tuple[str, State], int] = {}
        """The same by source and state."""
        self.leaving: set[int] = set()
        """What has left and is not deleted yet."""

    def arrive(self, row: NewRow) -> None:
        """Write a new row with the next batch."""
        self._gathering.rows.append(row)
        self._queue(row, len(row.blob))
        if self._soon is None and self.writing_since == NEVER:
            self._soon = self._loop.call_soon(self._push)

    def queued(self) -> Totals:
        """Return what arrived and is not committed yet, of an undecodable body its copy too, in bytes."""
        totals = Totals()
        for (source, state), size in self._queued.items():
            totals.add(state, source, 0, size)
            if state is State.UNDECODABLE:
                totals.add(State.PENDING, source, 0, size)
        return totals

    def settle(self, seq: int, owed: Receipt | None) -> None:
        """Delete a row, leaving a receipt if an answer is owed."""
        if seq not in self.leaving:
            self.leaving.add(seq)
            self._gathering.settled.append(seq)
            if owed is not None:
                self._gathering.owed.append(owed)
            self._next()

    def refuse(self, seq: int, reason: str) -> None:
        """Park a row."""
        if seq not in self.leaving:
            self.leaving.add(seq)
            self._gathering.refused.append((seq, reason))
            self._next()

    def owe(self, owed: Receipt) -> None:
        """Keep a receipt, whatever becomes of the row."""
        self._gathering.owed.append(owed)
        self._next()

    def saw(self, seq: int, seen: int) -> None:
        """Note how often an undecodable body has come."""
        self._gathering.seen[seq] = seen
        self._next()

    async def drain(self) -> None:
        """Wait until everything is written, or nothing more can be."""
        while True:
            self._push()
            if self.writing_since == NEVER:
                return
            await self._idle.wait()
            if self._stuck and not self._gathering.rows:
                return

    def give_up(self, error: BridgeError) -> None:
        """Fail whoever waits; nothing more is written."""
        self._cancel_timers()
        batch, self._gathering = self._gathering, Batch()
        self._failed(error, batch.rows)

    def _queue(self, row: NewRow, size: int) -> None:
        self.queued_bytes += size
        place = row.message.source, row.state
        self._queued[place] = self._queued.get(place, 0) + size

    def _next(self) -> None:
        """Write what gathers: arrivals with the turn of the loop that brought them, departures in company."""
        if self.writing_since != NEVER:
            return
        batch = self._gathering
        if batch.rows or (len(batch.settled) >= ENOUGH_SETTLED and not self._stuck):
            if self._soon is None:
                self._soon = self._loop.call_soon(self._push)
        elif self._later is None and _departs(batch):
            self._later = self._loop.call_later(STUCK_S if self._stuck else LINGER_S, self._push)

    def _push(self) -> None:
        """Hand over what has gathered, as much as one commit may hold, unless a batch is being written."""
        self._cancel_timers()
        batch = self._gathering
        if self.writing_since != NEVER or not (batch.rows or _departs(batch)):
            return
        self._gathering = Batch(rows=batch.rows[MAX_ARRIVALS:])
        del batch.rows[MAX_ARRIVALS:]
        self.writing_since = time.monotonic()
        self._idle.clear()
        self._writer.submit(
            lambda store: store.commit(batch),
            lambda committed, error: self._written(batch, committed, error),
        )

    def _written(self, batch: Batch, committed: Committed | None, error: Exception | None) -> None:
        """Tell everyone what became of a batch, and write the next."""
        self.writing_since = NEVER
        self._idle.set()
        for row in batch.rows:
            self._queue(row, -len(row.blob))
        if committed is None:
            self._not_written(batch, error)
            return
        self._stuck = not committed.departed
        if committed.departed:
            self.leaving.difference_update(batch.settled)
            self.leaving.difference_update(seq for seq, _ in batch.refused)
        else:
            self._take_back(batch)
        if self._gathering.rows and len(batch.rows) <= FEW_ARRIVALS:
            self._push()
        else:
            self._next()
        self._landed(committed, batch.rows)

    def _not_written(self, batch: Batch, error: Exception | None) -> None:
        """The outbox broke; or a defect cost this batch, whose departures are written another time."""
        if isinstance(error, OutboxBroken):
            self._failed(error, batch.rows)
            self.give_up(error)
            return
        _log.error("a batch could not be written", exc_info=error)
        self._failed(Unavailable("a defect kept the outbox from writing this; it is in the log"), batch.rows)
        self._stuck = True
        self._take_back(batch)
        self._next()

    def _take_back(self, batch: Batch) -> None:
        """Not even the departures could be written: they stay for another time."""
        later = self._gathering
        later.settled = batch.settled + later.settled
        later.refused = batch.refused + later.refused
        later.owed = batch.owed + later.owed
        later.seen = batch.seen | later.seen

    def _cancel_timers(self) -> None:
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()
        self._soon = self._later = None


def _departs(batch: Batch) -> bool:
    """Say whether a batch has more than new rows."""
    return bool(batch.settled or batch.refused or batch.owed or batch.seen)
