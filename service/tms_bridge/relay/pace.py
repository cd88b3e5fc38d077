"""How fast a backlog is published while events arrive, so that neither waits long for the other.

A backlog that is carried at full speed takes a whole processor here and more at the broker, and TMS's
webhooks wait among it: measured, a 99th percentile almost three times as long. So it gives way while they
come.

| in the last RECENT_S  | a backlog is published                                            |
| --------------------- | ----------------------------------------------------------------- |
| nothing arrived       | as fast as it goes                                                |
| something arrived     | at RATE, or twice as fast as events arrive, whichever is more, so |
|                       | that it becomes shorter, however many come                        |
| the relay came near   | as fast as it goes: what is left is soon carried, from memory     |

Only what was published counts. A page of which nothing may go, since its lanes are blocked, costs little.
"""

from typing import Final

RATE: Final = 4000.0
"""Events a second. Half of it makes webhooks no faster (measured)."""

NEAR: Final = 8192
"""How far behind the newest event the relay may be and not be reading a backlog."""

RECENT_S: Final = 0.05

_AHEAD: Final = 2.0
_TICK_S: Final = 1e-6
"""Two pages may be asked for at the same time, as far as a clock can tell."""


class Pace:
    """The clock of it; knows nothing of I/O.

    Args:
        newest: the highest seq of the outbox at the start, none of which counts as arrived.
    """

    def __init__(self, newest: int) -> None:
        self._asked_at = 0.0
        self._due = 0.0
        self._arrived_at = 0.0
        self._newest = newest
        self._published = 0

    def pause_s(self, now: float, *, newest: int, cursor: int, published: int) -> float:
        """Say how long to wait before the next page; to be asked once a page.

        Args:
            now: seconds by the clock of the loop.
            newest: the highest seq of the outbox.
            cursor: the highest that the relay has looked at.
            published: how many publishes there ever were.
        """
        asked_at, self._asked_at = self._asked_at, now
        arrived, self._newest = newest - self._newest, newest
        sent, self._published = published - self._published, published
        if arrived > 0:
            self._arrived_at = now
        if now - self._arrived_at > RECENT_S or newest - cursor <= NEAR:
            return 0.0
        rate = max(RATE, _AHEAD * arrived / max(now - asked_at, _TICK_S))
        self._due = max(self._due, asked_at) + sent / rate
        return max(0.0, self._due - now)
