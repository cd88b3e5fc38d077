"""What was taken in lately and what comes in now, for whoever watches; bounded, and without payloads."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from tms_bridge.errors import Unavailable
from tms_bridge.listener.rate import Rate

RECENT: Final = 1000
"""How many events are remembered."""

MAX_WATCHERS: Final = 16
"""How many may watch at once."""

_BACKLOG: Final = 256
"""How far a watcher may fall behind before it misses events."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One event as a watcher sees it; `latency_ms` is from the end of its headers to its answer."""

    id: str
    source: str
    trigger: str
    status: str
    routing_key: str
    outcome: str
    received_at: float
    latency_ms: float


class Feed:
    """The recent events, and those who watch for more."""

    def __init__(self) -> None:
        self._recent: deque[Seen] = deque(maxlen=RECENT)
        self.rate = Rate()
        self._watchers: set[asyncio.Queue[Seen]] = set()

    def add(self, seen: Seen) -> None:
        """Remember an event and show it to those who watch; one that is too slow misses it."""
        self._recent.append(seen)
        self.rate.note()
        for watcher in self._watchers:
            if not watcher.full():
                watcher.put_nowait(seen)

    def recent(self, limit: int) -> list[Seen]:
        """Return up to `limit` events, the newest first."""
        newest_first = reversed(self._recent)
        return [seen for seen, _ in zip(newest_first, range(limit), strict=False)]

    @contextmanager
    def watch(self) -> Iterator[asyncio.Queue[Seen]]:
        """Watch for as long as the context lasts.

        Raises:
            Unavailable: too many watch already.
        """
        if len(self._watchers) >= MAX_WATCHERS:
            raise Unavailable(f"{MAX_WATCHERS} others watch the stream already; close one of them.")
        queue: asyncio.Queue[Seen] = asyncio.Queue(_BACKLOG)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)
