"""When to exchange a connection on which some lane gets nothing but nacks.

A channel that publishes to a quorum queue for the first time while that queue has no leader is nacked by
RabbitMQ for as long as it lives, long after a leader has been elected; a new channel is not (measured with
3.10, in a cluster whose node died). A queue that is full looks the same from here, so the pauses grow, and
a lane of which a probe has got through on this connection does not ask for another.

Publishing pauses until nothing is in flight, so that an exchange costs no copy.
"""

from typing import Final

FIRST_AFTER_S: Final = 3.0
"""How long a lane is blocked before the connection is exchanged; an election takes less."""

LONGEST_AFTER_S: Final = 300.0

PAUSE_S: Final = 2.0
"""How long publishing may pause for it; a confirm that takes longer puts the exchange off."""

_NEVER: Final = float("inf")


class Renewal:
    """The clock of it; knows nothing of I/O."""

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
