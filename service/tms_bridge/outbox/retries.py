"""Recognition of TMS's retries: the bodies of the last window that were taken in and not answered in full."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from tms_bridge.outbox.contract import Receipt, Waiter
from tms_bridge.outbox.rows import Owed, microseconds

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds that never go back: `time.monotonic`, or a test's."""

Mark = Callable[[Sequence[int]], Exception | None]
"""Notes events as answered; returns what to say instead of a 2xx where that cannot be noted."""

MAX_RECEIPTS = 65_536
"""More unanswered events are not remembered: the oldest is forgotten, which costs a copy at most."""


def owed(receipt: Receipt) -> Owed:
    """Return what the journal keeps of an unanswered event when its row goes."""
    taken_us = microseconds(receipt.taken_s)
    return Owed(receipt.seq, taken_us, receipt.id, receipt.routing_key, receipt.digest)


def fail(receipt: Receipt, error: Exception) -> None:
    """It is not durable, or cannot be noted as answered: nobody may answer 2xx."""
    for waiter in _release(receipt):
        _tell(waiter.failed, error)


class RetryWindow:
    """What came within the window, by digest; bounded in time and number."""

    def __init__(self, window_s: float, clock: Clock) -> None:
        self._window_s = window_s
        self._clock = clock
        self._by_digest: dict[str, Receipt] = {}
        self._by_seq: dict[int, Receipt] = {}
        """Of those, the events that are durable and not answered."""

    def find(self, digest: str) -> Receipt | None:
        """Return what came of this digest, if its window is not over."""
        receipt = self._by_digest.get(digest)
        return receipt if receipt is not None and self._is_fresh(receipt) else None

    def take(self, row_id: str, routing_key: str, digest: str, waiter: Waiter) -> Receipt:
        """Remember a new body, not yet durable, and who waits for it."""
        receipt = Receipt(0, row_id, routing_key, digest, self._clock(), waiters=(waiter,))
        self._put(receipt)
        return receipt

    def failed(self, receipt: Receipt, error: Exception) -> None:
        """It did not become durable: nothing is remembered of it."""
        self._forget(receipt)
        fail(receipt, error)

    def restore(self, receipt: Receipt) -> None:
        """Remember again what is durable."""
        self._put(receipt)

    def forget(self, digest: str) -> None:
        """Take the next body of this digest for a new one."""
        if (receipt := self._by_digest.get(digest)) is not None:
            self._forget(receipt)

    def _put(self, receipt: Receipt) -> None:
        """Remember it as the newest, and forget from the oldest on what is past its window, or too many."""
        self.forget(receipt.digest)
        known = self._by_digest
        known[receipt.digest] = receipt
        while known:
            oldest = next(iter(known.values()))
            if len(known) <= MAX_RECEIPTS and self._is_fresh(oldest):
                return
            self._forget(oldest)

    def _is_fresh(self, receipt: Receipt) -> bool:
        return 0 <= self._clock() - receipt.taken_s <= self._window_s

    def _forget(self, receipt: Receipt) -> None:
        if self._by_digest.get(receipt.digest) is receipt:
            del self._by_digest[receipt.digest]
            self._by_seq.pop(receipt.seq, None)


class Cases(RetryWindow):
    """The undecodable bodies of the window: each is one row, however often it comes."""

    def join(self, digest: str, waiter: Waiter) -> Receipt | None:
        """Count a body that came before, and let its waiter wait with the first; None: it is new."""
        case = self.find(digest)
        if case is None:
            return None
        case.seen += 1
        if case.waiters:
            case.waiters += (waiter,)
        else:
            asyncio.get_running_loop().call_soon(_tell, waiter.quarantined, case.id)
        return case

    def committed(self, case: Receipt, seq: int) -> None:
        """It is kept: say so to all who brought it."""
        case.seq = seq
        for waiter in _release(case):
            _tell(waiter.quarantined, case.id)


class Receipts(RetryWindow):
    """The events of the window that are not answered in full, by digest and, once durable, by seq."""

    def __init__(self, window_s: float, clock: Clock, mark: Mark) -> None:
        super().__init__(window_s, clock)
        self._mark = mark

    def unanswered(self, seq: int) -> Receipt | None:
        """Return the unanswered event of this seq."""
        return self._by_seq.get(seq)

    def join(self, digest: str, waiter: Waiter) -> bool:
        """Let a retry wait with its event, or answer it soon where that is durable; False: it is new."""
        receipt = self.find(digest)
        if receipt is None:
            return False
        if receipt.waiters:
            receipt.waiters += (waiter,)
        else:
            asyncio.get_running_loop().call_soon(self._answer_retry, receipt, waiter)
        return True

    def committed(self, receipt: Receipt, seq: int) -> None:
        """It is durable and noted as answered: let all who wait for it answer."""
        receipt.seq = seq
        self._forget(receipt)  # the next equal body is a new event
        waiters = _release(receipt)
        receipt.standing += len(waiters)
        _tell(waiters[0].durable, receipt)
        for waiter in waiters[1:]:
            _tell(waiter.durable, _again(receipt))

    def restore(self, receipt: Receipt) -> None:
        """Remember again what is durable."""
        super().restore(receipt)
        # Only now: what it takes the place of may have had the same seq.
        if self._by_digest.get(receipt.digest) is receipt:
            self._by_seq[receipt.seq] = receipt

    def unanswer(self, receipt: Receipt) -> Receipt | None:
        """A 2xx failed; return the event if it is to be recognised again, for no other 2xx of it stands."""
        event = receipt.first or receipt
        event.standing -= 1
        if event.standing > 0 or not self._is_fresh(event) or self.find(event.digest) is not None:
            return None
        self.restore(event)
        return event

    def _answer_retry(self, event: Receipt, waiter: Waiter) -> None:
        """Note a durable event as answered and let its retry say so; nothing is awaited in between."""
        if (error := self._mark([event.seq])) is not None:
            _tell(waiter.failed, error)
        else:
            self._forget(event)
            event.standing += 1
            _tell(waiter.durable, _again(event))


def _again(event: Receipt) -> Receipt:
    """Return a retry's receipt of an event."""
    return Receipt(event.seq, event.id, event.routing_key, event.digest, event.taken_s, event)


def _release(receipt: Receipt) -> tuple[Waiter, ...]:
    """Return who waits, for the last time."""
    waiters, receipt.waiters = receipt.waiters, ()
    return waiters


def _tell(say: Callable[[T], None], what: T) -> None:
    """Tell one waiter: where that fails, the others and the relay still get theirs."""
    try:
        say(what)
    except Exception as error:  # noqa: BLE001 - it ends in the log
        context = {"message": "whoever waited for an event failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
