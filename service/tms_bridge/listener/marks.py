"""The marks that a request gets: its id, and its place in a W3C trace.

The request id is the span id of the trace context that the event carries on, so a message on the bus leads
to the line in the log. An X-Request-Id from outside is not taken over: the caller is not yet known when it
is read.
"""

import re
from typing import Final

import msgspec

from tms_bridge.listener.noise import Noise

_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-"
    r"(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED: Final = "01"
_noise: Final = Noise()


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
    if found is None or (found["version"] == "00" and found["more"]):
        return "", _SAMPLED
    return found["trace"], found["flags"]
