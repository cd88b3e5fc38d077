"""Waiting for what a test can see but not await."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    """Wait until a condition holds that no code tells of; only a defect lets it run into the time limit."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the condition lies in code that sets no event
            await asyncio.sleep(0.005)
