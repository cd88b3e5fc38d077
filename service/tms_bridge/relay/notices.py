"""What the relay says in the log of things that may go on for hours: at once, then once a minute."""

from collections.abc import Mapping
from typing import Final

from tms_bridge.log import Logger
from tms_bridge.message import Message

EVERY_S: Final = 60.0

_LONG_AGO: Final = float("-inf")


class Notices:
    """Says it; knows no clock."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._unroutable: dict[str, _Told] = {}
        self._lanes_told_at = _LONG_AGO
        self._lanes_blocked = False

    def unroutable(self, message: Message, now: float) -> None:
        """No queue wants an event: one line a routing key and minute, with how many there were."""
        told = self._unroutable.setdefault(message.routing_key, _Told())
        told.since += 1
        if now - told.at >= EVERY_S:
            self._log.warning(
                "no queue is bound to this routing key; its events go to tms.unroutable",
                routing_key=message.routing_key,
                events=told.since,
                last_id=message.id,
            )
            told.at, told.since = now, 0

    def lanes(self, blocked: Mapping[str, int], now: float) -> None:
        """These lanes are blocked, with so many messages behind each; none: all are open."""
        if not blocked:
            if self._lanes_blocked:
                self._log.info("nothing is held up by a full queue any more")
            self._lanes_blocked, self._lanes_told_at = False, _LONG_AGO
        elif now - self._lanes_told_at >= EVERY_S:
            self._lanes_blocked, self._lanes_told_at = True, now
            self._log.warning(
                "the broker refuses these routing keys; their events wait, and others go on",
                waiting={name: count + 1 for name, count in blocked.items()},
            )


class _Told:
    """When a key was last told, and how many events there were since."""

    def __init__(self) -> None:
        self.at = _LONG_AGO
        self.since = 0
