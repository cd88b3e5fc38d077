"""What the bridge mints: request ids with their place in a W3C trace, and the UUIDv7s of events.

The request id is the span id of the trace context that the event carries on, so a message on the bus leads
to the line in the log. An X-Request-Id from outside is not taken over: the caller is not yet known when it
is read.
"""

import os
import re
import time
from collections.abc import Callable
from typing import Final

import msgspec

_DRAW: Final = 8192


class _Noise:
    """Hands out random bytes; each byte once."""

    def __init__(self) -> None:
        self._drawn = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return so many random bytes, far fewer than a draw."""
        end = self._at + size
        if end > len(self._drawn):
            self._drawn, self._at, end = os.urandom(_DRAW), 0, size
        taken = self._drawn[self._at : end]
        self._at = end
        return taken


_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-"
    r"(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED: Final = "01"
_noise: Final = _Noise()


class Marks(msgspec.Struct, frozen=True, gc=False):
    """The id of a request, and the trace context that what it brings goes on with."""

    request_id: str
    traceparent: str


def mark(incoming: str | None) -> Marks:
    """Mint a request id and continue the caller's trace; begin one where its header is missing or wrong."""
    fresh = _noise.take(24).hex()
    request_id = fresh[:16]
    trace, flags = _read(incoming) if incoming else (fresh[16:], _SAMPLED)
    return Marks(request_id, f"00-{trace or fresh[16:]}-{request_id}-{flags}")


def _read(incoming: str) -> tuple[str, str]:
    found = _TRACEPARENT.fullmatch(incoming)
    if found is None:
        return "", _SAMPLED
    version, trace, flags, more = found.groups()
    return ("", _SAMPLED) if version == "00" and more else (trace, flags)


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
        randomness: Callable[[int], bytes] = _noise.take,
    ) -> None:
        self._clock_ns = clock_ns
        self._randomness = randomness
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
        ms, random = self._last_ms, self._last_random
        value = (ms << 80) | (0x7 << 76) | ((random >> 62) << 64) | (0b10 << 62) | (random & _LOW_62)
        text = value.to_bytes(16).hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def now_us() -> int:
    """Return the time, in Unix microseconds."""
    return time.time_ns() // 1000
