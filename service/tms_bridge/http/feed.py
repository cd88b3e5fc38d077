"""What was taken in lately, what comes in now and how often, for whoever watches; without payloads."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from tms_bridge.errors import Unavailable

_SECONDS: Final = 60


class Rate:
    """Counts by the second, over a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = [0] * _SECONDS
        self._newest = int(clock())

    def note(self) -> None:
        """It happened."""
        now = int(self._clock())
        if now != self._newest:
            self._forget(now)
        self._counts[now % _SECONDS] += 1

    def per_second(self) -> float:
        """Return the mean of the last minute."""
        self._forget(int(self._clock()))
        return round(sum(self._counts) / _SECONDS, 3)

    def _forget(self, now: int) -> None:
        for second in range(max(self._newest + 1, now - _SECONDS + 1), now + 1):
            self._counts[second % _SECONDS] = 0
        self._newest = now


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
