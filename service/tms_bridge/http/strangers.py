"""The log of callers who proved nothing: the first lines of a minute in full, the rest as a count."""

import asyncio
from collections import Counter
from typing import Final

from tms_bridge.auth.allowlist import network_of
from tms_bridge.log import Logger

LINES_PER_ADDRESS: Final = 30
"""How much is logged in full of one address in a minute."""

LINES_IN_ALL: Final = 600
_MINUTE_S: Final = 60.0
_ADDRESSES: Final = 1024
_NAMED: Final = 3


class Strangers:
    """Decides what is logged in full; metrics count everything."""

    def __init__(self, listener: str, logger: Logger) -> None:
        self._listener = listener
        self._logger = logger
        self._lines = 0
        self._heard: Counter[str] = Counter()
        self._unlogged: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def is_new(self, address: str, outcome: str) -> bool:
        """Return whether this is to be logged in full; what is not stands in the count of the minute."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_MINUTE_S, self.tell)
        network = network_of(address)
        if network in self._heard or len(self._heard) < _ADDRESSES:
            self._heard[network] += 1
            if self._heard[network] <= LINES_PER_ADDRESS and self._lines < LINES_IN_ALL:
                self._lines += 1
                return True
        self._unlogged[outcome] += 1
        return False

    def tell(self) -> None:
        """Say what was not logged in full since the last time, if there was any."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unlogged:
            self._logger.warning(
                "requests from strangers",
                listener=self._listener,
                requests=self._unlogged.total(),
                outcomes=dict(self._unlogged.most_common()),
                busiest=dict(self._heard.most_common(_NAMED)),
                detail="so many more requests without right credentials were answered, and not logged one by "
                f"one: {LINES_PER_ADDRESS} of each address are, in a minute",
            )
        self._lines = 0
        self._heard.clear()
        self._unlogged.clear()


def cut(text: str, most: int) -> str:
    """Return what a caller wrote, escaped and not longer than this."""
    shown = text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= most else f"{shown[:most]} and {len(shown) - most} more"
