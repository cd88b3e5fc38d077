"""How long to wait before the next attempt to connect."""

import random
from collections.abc import Callable
from typing import Final

FIRST_S: Final = 0.2
LONGEST_S: Final = 15.0
STABLE_AFTER_S: Final = 10.0
"""A connection that lived this long was a good one: the next loss starts from the shortest wait."""


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

    def lived(self, seconds: float) -> None:
        """Take in how long a connection was open."""
        if seconds >= STABLE_AFTER_S:
            self._rounds = 0
