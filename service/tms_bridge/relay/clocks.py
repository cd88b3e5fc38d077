"""When the relay pauses: to let webhooks go before a backlog, or to exchange a connection that is nacked.

Both know nothing of I/O; what time it is, they are told.
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

FIRST_AFTER_S: Final = 3.0
"""How long a lane is blocked before the connection is exchanged; an election takes less."""

LONGEST_AFTER_S: Final = 300.0

PAUSE_S: Final = 2.0
"""How long publishing may pause for it; a confirm that takes longer puts the exchange off."""

_NEVER: Final = float("inf")


class Pace:
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


class Renewal:
    """When to exchange a connection on which some lane gets nothing but nacks.

    A channel that publishes to a quorum queue for the first time while that queue has no leader is nacked
    by RabbitMQ for as long as it lives, long after a leader has been elected; a new channel is not (measured
    with 3.10, in a cluster whose node died). A queue that is full looks the same from here, so the pauses
    grow, and a lane of which a probe has got through on this connection does not ask for another.

    Publishing pauses until nothing is in flight, so that an exchange costs no copy.
    """

    def __init__(self) -> None:
        self._after_s = FIRST_AFTER_S
        self._opened_at = 0.0

    def opened(self, now: float) -> None:
        """Count from here: there is a new connection."""
        self._opened_at = now

    def due(self, blocked_since: float) -> float:
        """Say when it is time, by since when a lane is blocked; infinity: never."""
        return max(blocked_since, self._opened_at) + self._after_s

    def wanted(self, now: float, blocked_since: float) -> bool:
        """Tell whether publishing should pause now, for the connection to be exchanged."""
        if blocked_since == _NEVER:
            self._after_s = FIRST_AFTER_S
            return False
        due = self.due(blocked_since)
        if now >= due + PAUSE_S:
            self.longer()
            return False
        return now >= due

    def longer(self) -> None:
        """Wait longer the next time: it was done, or could not be done."""
        self._after_s = min(2 * self._after_s, LONGEST_AFTER_S)
