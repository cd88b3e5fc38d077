"""What both publishers share: the way back of outcomes, room, the time limit of confirms, the end."""

import abc
import asyncio
from typing import Final

from tms_bridge.broker.session import Session
from tms_bridge.errors import PublisherClosed
from tms_bridge.message import Message, Outcome

_WATCH_EVERY_S: Final = 1.0


class ConfirmingPublisher(abc.ABC):
    """One confirm channel's bookkeeping; a subclass sends, and resolves what it sent.

    A subclass calls `_resolve` for each outcome and answers `_oldest_sent_at`.

    Attributes:
        useful: it has had an outcome for anything.
    """

    def __init__(self, session: Session, *, max_outstanding: int, confirm_timeout_s: float) -> None:
        self._session = session
        self._link = session.link
        self._max_outstanding = max_outstanding
        self._confirm_timeout_s = confirm_timeout_s
        self._loop = asyncio.get_running_loop()
        self._outstanding = 0
        self.useful = False
        self._outcomes: list[tuple[int, Outcome]] = []
        self._closed: PublisherClosed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._touched = False
        self._watch_s = min(_WATCH_EVERY_S, confirm_timeout_s / 4)
        self._watch = self._loop.call_later(self._watch_s, self._look_for_late_confirms)
        self._link.on_change = self._link_changed

    @property
    def room(self) -> int:
        """How many more publishes it takes now; 0 while the broker blocks the connection."""
        if self._closed is not None or self._link.blocked or self._link.stalled:
            return 0
        return self._max_outstanding - self._outstanding

    @property
    def blocked(self) -> bool:
        """Whether the broker's alarm is on."""
        return self._link.blocked

    @property
    def open(self) -> bool:
        """Whether it still publishes."""
        return self._closed is None

    async def outcomes(self) -> list[tuple[int, Outcome]]:
        """Wait for what became of earlier publishes; may be empty when only `room` has changed.

        Raises:
            PublisherClosed: the connection is gone and aborted; keys without an outcome have an unknown fate.
        """
        while not self._outcomes and not self._touched:
            if self._closed is not None:
                await self._session.abort()
                raise self._closed
            self._waiter = self._loop.create_future()
            await self._waiter
        self._touched = False
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    async def close(self) -> None:
        """Close politely if it is open, abort if that takes too long; after it no byte is in flight."""
        if self._closed is None:
            self._fail(PublisherClosed("closed on request"))
            await self._session.close()
        else:
            await self._session.abort()

    @abc.abstractmethod
    def publish(self, key: int, message: Message, exchange: str) -> None:
        """Send one message, persistent and mandatory; its outcome comes from `outcomes` under `key`.

        Never raises for the message's sake: what cannot be encoded is REFUSED.
        """

    @abc.abstractmethod
    def _oldest_sent_at(self) -> float | None:
        """Return when the oldest publish without an outcome was sent; None: there is none."""

    def _resolve(self, key: int, outcome: Outcome) -> None:
        if self._closed is not None:  # whatever closed it, what comes after proves nothing
            return
        self._outstanding -= 1
        self.useful = True
        if not self._outcomes:
            self._wake()
        self._outcomes.append((key, outcome))

    def _touch(self) -> None:
        self._touched = True
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _link_changed(self) -> None:
        if self._link.lost or self._link.closing is not None:
            self._end("the connection was lost")
        else:
            self._touch()

    def _end(self, reason: str) -> None:
        """The channel or the connection is gone."""
        self._fail(self._session.closed(reason))

    def _fail(self, closed: PublisherClosed) -> None:
        if self._closed is None:
            self._closed = closed
            self._watch.cancel()
            self._wake()

    def _look_for_late_confirms(self) -> None:
        now = self._loop.time()
        oldest = self._oldest_sent_at()
        # What an alarm held up counts from the alarm's end.
        waiting = oldest is not None and not self._link.blocked
        if waiting and now - max(oldest or now, self._link.unblocked_at) > self._confirm_timeout_s:
            self._fail(PublisherClosed(f"no confirm within {self._confirm_timeout_s:g} s"))
            self._link.abort()
            return
        self._watch = self._loop.call_later(self._watch_s, self._look_for_late_confirms)
