"""How many webhooks there may be at once, and when one is too late; one timer serves them all.

`asyncio.timeout` would start and stop a timer for each webhook, though next to none ever goes off.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

_NEVER: Final = float("inf")
_MARGIN: Final = 0.05
"""Of a deadline: what it takes to say that it has passed."""

TOO_LATE: Final = "The event could not be made durable within http.deadline_s; try again."


class Timed(Protocol):
    """Something with a time limit."""

    @property
    def moment(self) -> float:
        """When it is over, on the event loop's clock."""
        ...

    def expire(self) -> None:
        """Be told that it is over."""
        ...


class Deadlines:
    """The waits that have a limit just now; `until` makes one."""

    def __init__(self, deadline_s: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._patience_s = deadline_s * (1 - _MARGIN)
        self._waits: set[Timed] = set()
        self._due = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def next(self) -> float:
        """Return when it is too late for what begins now, on the event loop's clock."""
        return self.loop.time() + self._patience_s

    def add(self, wait: Timed) -> None:
        """Watch a wait."""
        self._waits.add(wait)
        if wait.moment < self._due:
            self._set(wait.moment)

    def discard(self, wait: Timed) -> None:
        """Watch it no more; the timer stays, for the next one needs it."""
        self._waits.discard(wait)

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = moment
        self._timer = self.loop.call_at(moment, self._expire)

    def _expire(self) -> None:
        self._timer, self._due = None, _NEVER
        now = self.loop.time()
        for wait in [wait for wait in self._waits if wait.moment <= now]:
            self._waits.discard(wait)
            wait.expire()
        if self._waits:
            self._set(min(wait.moment for wait in self._waits))


class InFlight:
    """Counts the webhooks that are being taken in, and keeps to each source its part of what may be.

    As with what is stored, half of the limit is shared out evenly among the sources that are configured, and
    the other half is for whoever comes first.
    """

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._of: Counter[str] = Counter()
        self._sources: Sequence[str] = ()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def share_among(self, sources: Iterable[str]) -> None:
        """Keep to each of these its part."""
        self._sources = tuple(sources)

    def full_for(self, source: str) -> bool:
        """Whether no other of this source may begin."""
        if 2 * self.count < self._limit:  # at most half is ever kept for others
            return False
        part = self._limit // (2 * len(self._sources)) if self._sources else 0
        kept = sum(max(0, part - self._of[other]) for other in self._sources if other != source)
        return self.count + kept >= self._limit

    def enter(self, source: str) -> None:
        """One begins."""
        if not self.count:
            self._quiet.clear()
        self.count += 1
        self._of[source] += 1

    def leave(self, source: str) -> None:
        """One has been answered, or will not be."""
        self.count -= 1
        self._of[source] -= 1
        if not self.count:
            self._quiet.set()

    async def none(self) -> None:
        """Wait until every one that has begun is over."""
        await self._quiet.wait()
