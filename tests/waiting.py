"""Waiting for what a test can see but not await.

No test judges by the clock how fast anything is, for a busy machine is slow. Who waits does so for
PATIENCE_S, which only a defect uses up.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 60.0


def patience() -> asyncio.Timeout:
    """Bound what a defect would let wait for ever."""
    return asyncio.timeout(PATIENCE_S)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that no code tells of."""
    async with patience():
        while not condition():  # noqa: ASYNC110 - the condition lies in code that sets no event
            await asyncio.sleep(0.005)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """As `until`, where no loop runs; the error says what did not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s for {what}"
        time.sleep(0.02)
