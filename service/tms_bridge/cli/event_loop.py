"""How a command runs what is asynchronous; apart, so that a health check need not load it."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import uvloop

T = TypeVar("T")


def run_async(main: Coroutine[object, object, T]) -> T:
    """Run it to its end on the loop that the service uses too."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
