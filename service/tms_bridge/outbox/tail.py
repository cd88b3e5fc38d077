"""What was just committed, kept for the relay so that the disk is read only for a backlog."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence

from tms_bridge.message import AROUND_BODY_BYTES
from tms_bridge.outbox.contract import OutboxEntry

MAX_ENTRIES = 8192
MAX_BYTES = 16 * 1024 * 1024


class Tail:
    """The newest committed entries that have not left; all of those after `floor`."""

    def __init__(self, floor: int, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
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
