"""How often something happened in the last minute."""

import time
from collections.abc import Callable
from typing import Final

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
