"""What is kept in memory: the newest events for the relay, and where there is no disk the whole outbox.

There an event is durable once the broker has confirmed it.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from tms_bridge.errors import Unavailable
from tms_bridge.message import AROUND_BODY_BYTES, Message
from tms_bridge.outbox.contract import Durable, OutboxEntry, Receipt, Waiter
from tms_bridge.outbox.retries import Cases, Clock, Receipts
from tms_bridge.outbox.rows import Stats

TAIL_ENTRIES = 8192
TAIL_BYTES = 16 << 20
"""More are read from the disk."""

MAX_EVENTS = 4096
"""Many times what may be in flight at once (`http.max_in_flight`), whose waiters have given up."""

MAX_BYTES = 32 << 20
"""Of bodies, so that large ones cannot fill the memory either."""


class Tail:
    """The newest committed entries that have not left; all of those after `floor`."""

    def __init__(self, floor: int, *, max_entries: int = TAIL_ENTRIES, max_bytes: int = TAIL_BYTES) -> None:
        self.floor = floor
        """Whoever wants what comes after a lower seq than this must read the disk."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: dict[int, OutboxEntry] = {}
        self._seqs: list[int] = []
        self._arrival = asyncio.Event()

    def extend(self, entries: Sequence[OutboxEntry]) -> None:
        """Add what was committed last, in order."""
        for entry in entries:
            self._entries[entry.seq] = entry
            self._seqs.append(entry.seq)
            self._bytes += AROUND_BODY_BYTES + len(entry.message.body)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._evict()
        if len(self._seqs) > 2 * self._max_entries + 2 * len(self._entries):
            self._seqs = list(self._entries)
        self._arrival.set()

    def remove(self, seq: int) -> None:
        """Forget what has left."""
        if (entry := self._entries.pop(seq, None)) is not None:
            self._bytes -= AROUND_BODY_BYTES + len(entry.message.body)

    def after(self, seq: int, limit: int) -> list[OutboxEntry]:
        """Return up to `limit` entries after `seq`, which must not be below `floor`."""
        found: list[OutboxEntry] = []
        for place in range(bisect_right(self._seqs, seq), len(self._seqs)):
            entry = self._entries.get(self._seqs[place])
            if entry is not None:
                found.append(entry)
                if len(found) == limit:
                    break
        return found

    async def arrival(self) -> None:
        """Wait for what is committed next."""
        self._arrival.clear()
        await self._arrival.wait()

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._arrival.set()

    def _evict(self) -> None:
        """Give the older half to the disk alone, so that the cost is shared by many."""
        for seq in list(self._entries)[: max(1, len(self._entries) // 2)]:
            self.remove(seq)
            self.floor = seq
        self._seqs = list(self._entries)


class _Waiting(msgspec.Struct, frozen=True):
    """A message that is not confirmed yet, and where it is remembered."""

    receipt: Receipt
    window: Receipts | Cases
    size: int


class MemoryOutbox:
    """Intake and Pending without a disk: an event is durable when the relay settles it.

    An event whose waiter has gone stays, so that its retry joins it; one that nobody has come back for in
    its window is dropped, for it was never answered 2xx.
    """

    late_s = 0.0
    """No disk, so none that is late."""

    durable: Durable = "broker"
    operators: Final = None
    """Nothing is kept that anybody could look at."""

    newest_us: Final = 0

    def __init__(
        self,
        window_s: float,
        *,
        why_not_ready: Callable[[], str | None] = lambda: None,
        max_events: int = MAX_EVENTS,
        clock: Clock = time.monotonic,
    ) -> None:
        self.why_not_ready = why_not_ready
        """Returns why the broker confirms nothing; None where it does."""
        self._max_events = max_events
        self._receipts = Receipts(window_s, clock, lambda _: None)
        self._cases = Cases(window_s, clock)
        self.join = self._receipts.join
        self._waiting: dict[int, _Waiting] = {}
        self._tail = Tail(0, max_entries=max_events, max_bytes=1 << 62)
        self._last_seq = 0
        self._bytes = 0
        self.refused = 0
        """How many events no retry could deliver; they were answered 503."""

    @property
    def events(self) -> int:
        """How many events are not confirmed yet."""
        return len(self._waiting)

    def stats(self) -> Stats:
        """Return the outbox in numbers."""
        return Stats(
            events=self.events,
            bytes=0,
            oldest_us=None,
            refused=self.refused,
            held=0,
            undecodable=0,
            undecodable_bytes=0,
            last_seq=0,
            free_bytes=0,
            unavailable=self.why_not_ready() or "",
        )

    def share_among(self, sources: Iterable[str]) -> None:
        """Do nothing: nothing is stored that sources would share."""

    async def until_broken(self) -> None:
        """Wait for ever: there is nothing to break."""
        await asyncio.Event().wait()

    async def close(self, timeout_s: float = 0.0) -> bool:  # noqa: ARG002 - as the journal's
        """Do nothing: nothing is kept."""
        return True

    def take(self, message: Message, waiter: Waiter) -> None:
        """Give an event that is no retry to the relay; its waiter is told when the broker has confirmed it.

        Raises:
            Unavailable: too many wait.
        """
        self._enter(message, self._receipts, message.routing_key, waiter)

    def hold(self, message: Message, waiter: Waiter) -> None:
        """Refuse: what is held must be kept, and there is no disk.

        Raises:
            Unavailable: always.
        """
        del waiter
        raise Unavailable(f"event {message.id} cannot be held: that needs an outbox on disk ([outbox])")

    def quarantine(self, message: Message, waiter: Waiter) -> None:
        """Send an undecodable body to the quarantine exchange; its waiter is told at the confirm.

        Raises:
            Unavailable: too many wait.
        """
        if self._cases.join(message.digest, waiter) is None:
            self._enter(message, self._cases, "", waiter)

    def unanswered(self, receipt: Receipt) -> None:
        """Take the note back: the connection closed before the whole answer was handed over."""
        self._receipts.unanswer(receipt)

    async def page(self, after: int, limit: int, *, wait: bool = True) -> Sequence[OutboxEntry]:
        """Return up to `limit` entries after `after`, in order; none only if told not to wait."""
        while True:
            self._drop_leftovers()
            if (entries := self._tail.after(after, limit)) or not wait:
                return entries
            await self._tail.arrival()

    @property
    def last_seq(self) -> int:
        """The seq of the message that was taken in last."""
        return self._last_seq

    @property
    def leaving(self) -> int:
        """Nothing: what is settled is gone."""
        return 0

    def settle(self, seq: int) -> None:
        """The broker has it: whoever waits may answer."""
        if (waiting := self._leave(seq)) is not None:
            waiting.receipt.seq = seq
            waiting.window.committed(waiting.receipt)

    def refuse(self, seq: int, reason: str) -> None:
        """No retry can deliver it, and there is nowhere to park it: whoever waits answers 503."""
        self.refused += 1
        if (waiting := self._leave(seq)) is not None:
            unavailable = Unavailable(f"the broker cannot take this event: {reason}")
            waiting.window.failed(waiting.receipt, unavailable)

    def _enter(self, message: Message, window: Receipts | Cases, routing_key: str, waiter: Waiter) -> None:
        self._drop_leftovers()
        if len(self._waiting) >= self._max_events or self._bytes + len(message.body) > MAX_BYTES:
            raise Unavailable(f"{self._max_events} events wait for the broker's confirm")
        receipt = window.take(message, routing_key, waiter)
        self._last_seq = seq = self._last_seq + 1
        self._waiting[seq] = _Waiting(receipt, window, len(message.body))
        self._bytes += len(message.body)
        self._tail.extend((OutboxEntry(seq, message),))

    def _leave(self, seq: int) -> _Waiting | None:
        self._tail.remove(seq)
        if (waiting := self._waiting.pop(seq, None)) is not None:
            self._bytes -= waiting.size
        return waiting

    def _drop_leftovers(self) -> None:
        """Drop, from the oldest on, what nobody has come back for."""
        while self._waiting:
            seq, waiting = next(iter(self._waiting.items()))
            if waiting.window.is_fresh(waiting.receipt):
                return
            self._leave(seq)
            waiting.window.failed(waiting.receipt, Unavailable("the broker did not confirm in time"))
