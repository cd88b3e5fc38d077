"""What an operator's signals ask for: stop, stop sooner, read the configuration again."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Final

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """`stop` is set by the first SIGTERM or SIGINT, `hurry` by the second; `reload` by SIGHUP."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.reload = asyncio.Event()

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals of this process for as long as the context lasts."""
        loop = asyncio.get_running_loop()
        for number in _STOPS:
            loop.add_signal_handler(number, self.ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        try:
            yield
        finally:
            for number in (*_STOPS, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def ask_to_stop(self) -> None:
        """Stop in good order; asked again, without waiting for anyone."""
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()

    async def pause(self, seconds: float) -> None:
        """Wait, unless hurried."""
        try:
            async with asyncio.timeout(seconds):
                await self.hurry.wait()
        except TimeoutError:
            return

    async def soon(self, work: Coroutine[None, None, bool], grace_s: float) -> bool:
        """Do this to its end and return what it says; once hurried, false after so many seconds more."""
        working = asyncio.ensure_future(work)
        hurried = asyncio.ensure_future(self.hurry.wait())
        try:
            await asyncio.wait({working, hurried}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({working}, timeout=grace_s)
            return working.done() and await working
        finally:
            working.cancel()
            hurried.cancel()

    async def unless_hurried(self, work: Coroutine[None, None, None]) -> None:
        """Do this to its end, or until hurried."""
        working = asyncio.ensure_future(work)
        hurried = asyncio.ensure_future(self.hurry.wait())
        try:
            await asyncio.wait({working, hurried}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            hurried.cancel()
            await asyncio.gather(working, hurried, return_exceptions=True)
