"""Either outbox with what the composition root asks of it: numbers, readiness, its breaking, its closing."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from tms_bridge.broker import Supervisor
from tms_bridge.metrics import OutboxMetrics
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.memory import MemoryOutbox
from tms_bridge.outbox.operators import Operators
from tms_bridge.outbox.rows import Stats
from tms_bridge.settings.model import Settings


class Stock(Protocol):
    """An open outbox."""

    @property
    def outbox(self) -> Journal | MemoryOutbox:
        """The outbox itself."""
        ...

    @property
    def operators(self) -> Operators | None:
        """What operators may see and do; None where nothing is kept."""
        ...

    @property
    def newest_us(self) -> int:
        """When the newest body that it ever took in was received; 0 where it does not know."""
        ...

    def share_among(self, sources: Iterable[str]) -> None:
        """Keep to each of these sources its part of what may be stored."""
        ...

    def stats(self) -> Stats:
        """Return the outbox in numbers."""
        ...

    def why_not_ready(self) -> str | None:
        """Return why no event can be made durable now."""
        ...

    async def until_broken(self) -> None:
        """Wait for the end of it; raises OutboxBroken."""
        ...

    async def close(self) -> None:
        """Let it go."""
        ...


async def open_stock(settings: Settings, metrics: OutboxMetrics, supervisor: Supervisor) -> Stock:
    """Open the outbox that is configured.

    Raises:
        OutboxError: its directory cannot be used.
    """
    if settings.outbox is None:
        return InMemory(MemoryOutbox(settings.dedup.window_s), supervisor)
    observe = metrics.commit_duration.observe
    journal = await Journal.open(
        settings.outbox,
        settings.quarantine,
        settings.dedup,
        held=settings.held,
        on_commit=lambda seconds, _rows: observe(seconds),
    )
    journal.share_among(settings.sources)
    return OnDisk(journal)


class OnDisk:
    """The journal: ready while it has room, whatever the broker does."""

    def __init__(self, journal: Journal) -> None:
        self.outbox = journal
        self.operators = journal.operators
        self.share_among = journal.share_among

    @property
    def newest_us(self) -> int:
        """When the newest body was received."""
        return self.outbox.newest_us

    def stats(self) -> Stats:
        """Return the journal in numbers."""
        return self.outbox.stats()

    async def close(self) -> None:
        """Write what is left, and let the directory go."""
        await self.outbox.close()

    def why_not_ready(self) -> str | None:
        """Return why the journal takes nothing."""
        return self.stats().unavailable or None

    async def until_broken(self) -> None:
        """Wait until the journal breaks; raises what broke it."""
        await self.outbox.broken.wait()
        if self.outbox.failure is not None:
            raise self.outbox.failure


class InMemory:
    """Without a disk: ready while the broker is there and takes publishes."""

    operators = None
    newest_us = 0

    def __init__(self, outbox: MemoryOutbox, supervisor: Supervisor) -> None:
        self.outbox = outbox
        self._supervisor = supervisor

    def stats(self) -> Stats:
        """Return what there is to tell."""
        return Stats(
            events=self.outbox.events,
            bytes=0,
            oldest_us=None,
            refused=self.outbox.refused,
            held=0,
            undecodable=0,
            undecodable_bytes=0,
            last_seq=0,
            free_bytes=0,
            unavailable=self.why_not_ready() or "",
        )

    def why_not_ready(self) -> str | None:
        """Return why the broker confirms nothing."""
        if not self._supervisor.connected:
            return "the broker is not connected, and there is no outbox on disk"
        return "the broker blocks publishing (a memory or disk alarm)" if self._supervisor.blocked else None

    def share_among(self, sources: Iterable[str]) -> None:
        """Do nothing: what waits here has a second or two."""

    async def until_broken(self) -> None:
        """Wait for ever: there is nothing to break."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Do nothing: nothing is kept."""
