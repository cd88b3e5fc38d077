"""UUIDv7 (RFC 9562) for events: rising within the process, also when the clock steps back."""

import time
from collections.abc import Callable
from typing import Final

from tms_bridge.listener.noise import Noise

_RANDOM_BITS: Final = 74
_TOP_BIT: Final = 1 << (_RANDOM_BITS - 1)
_RANDOM_MASK: Final = _TOP_BIT - 1
_LOW_62: Final = (1 << 62) - 1
_MAX_STEP_BYTES: Final = 4


class EventIds:
    """Mints ids; the clock (Unix nanoseconds) and the randomness are given."""

    def __init__(
        self,
        clock_ns: Callable[[], int] = time.time_ns,
        randomness: Callable[[int], bytes] | None = None,
    ) -> None:
        self._clock_ns = clock_ns
        self._randomness = randomness or Noise().take
        self._last_ms = -1
        self._last_random = 0

    def mint(self) -> str:
        """Return the next id in its 36-character form."""
        now_ms = self._clock_ns() // 1_000_000
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            # The top bit starts clear, which leaves room to count within the millisecond.
            self._last_random = int.from_bytes(self._randomness(10)) & _RANDOM_MASK
        else:
            self._last_random += 1 + int.from_bytes(self._randomness(_MAX_STEP_BYTES))
            if self._last_random >> _RANDOM_BITS:
                self._last_ms, self._last_random = self._last_ms + 1, self._last_random & _RANDOM_MASK
        return _format(self._last_ms, self._last_random)


def _format(ms: int, random: int) -> str:
    value = (ms << 80) | (0x7 << 76) | ((random >> 62) << 64) | (0b10 << 62) | (random & _LOW_62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
