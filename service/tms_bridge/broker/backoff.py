"""How long to wait before the next attempt to connect."""

import random
from collections.abc import Callable
from typing import Final

FIRST_S: Final = 0.2
LONGEST_S: Final = 5.0
STABLE_AFTER_S: Final = 10.0
"""A connection that lived this long was a good one."""


class Backoff:
    """Exponential with full jitter: many bridges that lost one broker do not come back in step."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._rounds = 0

    @property
    def rounds(self) -> int:
        """How many rounds over all hosts have failed since the last good connection."""
        return self._rounds

    def next(self) -> float:
        """Return the seconds to wait after one more failed round."""
        ceiling = min(LONGEST_S, FIRST_S * 2**self._rounds)
        if ceiling < LONGEST_S:
            self._rounds += 1
        return float(self._jitter() * ceiling)

    def after_loss(self, seconds: float, *, useful: bool) -> float:
        """Return the seconds to wait after the loss of a connection that was open for so long.

        One that was open for long was a good one, and the next is tried at once. One that confirmed
        anything is worth the shortest wait. Any other failed as if it had never opened.
        """
        if useful or seconds >= STABLE_AFTER_S:
            self._rounds = 0
        return 0.0 if seconds >= STABLE_AFTER_S else self.next()
