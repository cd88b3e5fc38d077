"""Messages and journals for the outbox's tests."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tms_bridge.message import Kind, Message
from tms_bridge.outbox.interface import Entry, Pending
from tms_bridge.outbox.journal import Journal, Machine
from tms_bridge.settings import model as settings

ROOM = 1 << 40
"""More free bytes than any test needs, so that no test depends on this machine's disk."""


class Clock:
    """A monotonic clock that a test winds on."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def event(number: int, body: bytes = b"{}", digest: str | None = None) -> Message:
    """Return the event of this number; equal bodies are told by `digest`."""
    return Message(
        id=f"01936000-0000-7000-8000-{number:012d}",
        kind=Kind.EVENT,
        source="contoso",
        trigger="class",
        status="scheduled",
        routing_key="tms.class.scheduled",
        entity=str(number),
        received_at_us=1_700_000_000_000_000 + number,
        digest=digest or hashlib.blake2b(str(number).encode(), digest_size=32).hexdigest(),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        body=body,
    )


def undecodable(number: int, body: bytes = b"?", digest: str | None = None) -> Message:
    """Return a body that is no event."""
    return msgspec.structs.replace(
        event(number, body, digest),
        kind=Kind.QUARANTINE,
        status="",
        routing_key="",
        entity="",
        reason="not JSON",
    )


async def open_journal(
    directory: Path,
    *,
    max_bytes: int = ROOM,
    clock: Clock | None = None,
    boot: str = "boot-1",
    quarantine: settings.Quarantine | None = None,
    window_s: float = 120.0,
    free: Sequence[int] | None = None,
) -> Journal:
    """Open a journal whose clock, boot and free space the test decides; `free` is read at each look."""
    return await Journal.open(
        settings.Outbox(dir=str(directory), max_bytes=max_bytes, min_free_bytes=0 if free is None else 1000),
        quarantine,
        settings.Dedup(window_s=window_s),
        machine=Machine(
            clock=clock or Clock(),
            free_bytes=lambda _: ROOM if free is None else free[0],
            boot_id=lambda: boot,
        ),
    )


async def waiting(outbox: Pending, after: int = 0, limit: int = 1000) -> list[Entry]:
    """Return what a relay gets now; nothing if it would wait."""
    try:
        async with asyncio.timeout(0.05):
            return list(await outbox.page(after, limit))
    except TimeoutError:
        return []
