"""What the listener knows of a body apart from its bytes."""

import msgspec


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One body's coming in.

    Attributes:
        id: the event's id or the quarantine id, a UUIDv7 minted for it.
        received_at_us: when it was first taken in, Unix microseconds.
        digest: as `ingest.digest` makes it.
        traceparent: W3C trace context of this delivery.
    """

    id: str
    received_at_us: int
    digest: str
    traceparent: str
