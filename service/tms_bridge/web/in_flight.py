"""The webhooks that are being taken in just now: how many there may be, and when there are none."""

import asyncio


class InFlight:
    """Counts them."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def full(self) -> bool:
        """Whether no other may begin."""
        return self.count >= self._limit

    def enter(self) -> None:
        """One begins."""
        if not self.count:
            self._quiet.clear()
        self.count += 1

    def leave(self) -> None:
        """One has been answered, or will not be."""
        self.count -= 1
        if not self.count:
            self._quiet.set()

    async def none(self) -> None:
        """Wait until every one that has begun is over."""
        await self._quiet.wait()
