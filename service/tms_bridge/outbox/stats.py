"""How much the outbox holds, and whether it takes more."""

import msgspec


class Stats(msgspec.Struct, frozen=True):
    """The outbox in numbers, as of the last commit."""

    events: int
    bytes: int
    oldest_us: int | None
    refused: int
    held: int
    undecodable: int
    undecodable_bytes: int
    last_seq: int
    free_bytes: int
    unavailable: str
    """Why new events are refused just now; empty when they are taken."""
