"""Recognition of TMS's retries: the bodies of the last window that were taken in and not answered in full."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from tms_bridge.outbox.contract import Answers, Receipt, Waiter
from tms_bridge.outbox.rows import Owed

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds that never go back: `time.monotonic`, or a test's."""

Mark = Callable[[Sequence[int]], Exception | None]
"""Notes events as answered; returns what to say instead of a 2xx where that cannot be noted."""

MAX_RECEIPTS = 65_536
"""More unanswered events are not remembered: the oldest is forgotten, which costs a copy at most."""


class Taken(msgspec.Struct):
    """A body that was taken in, and what became of it so far.

    Attributes:
        waiters: who waits for it to be durable; None once it is.
        seen: how often the body came; counted for undecodable ones.
    """

    id: str
    routing_key: str
    digest: str
    answers: Answers
    seq: int = 0
    waiters: list[Waiter] | None = None
    seen: int = 1

    def receipt(self, *, duplicate: bool) -> Receipt:
        """Return what a waiter gets for it."""
        return Receipt(self.seq, self.id, self.routing_key, self.digest, duplicate, self.answers)

    def owed(self) -> Owed:
        """Return what the journal keeps of it when its row goes."""
        return Owed(self.seq, microseconds(self.answers.taken_s), self.id, self.routing_key, self.digest)

    def fail(self, error: Exception) -> None:
        """It is not durable, or cannot be noted as answered: nobody may answer 2xx."""
        waiters, self.waiters = self.waiters or (), None
        for waiter in waiters:
            _tell(waiter.failed, error)


class RetryWindow:
    """What came within the window, by digest; bounded in time and number."""

    def __init__(self, window_s: float, clock: Clock) -> None:
        self._window_s = window_s
        self._clock = clock
        self._by_digest: dict[str, Taken] = {}

    def find(self, digest: str) -> Taken | None:
        """Return what came of this digest, if its window is not over."""
        taken = self._by_digest.get(digest)
        return taken if taken is not None and self._fresh(taken.answers) else None

    def take(self, row_id: str, routing_key: str, digest: str, waiter: Waiter) -> Taken:
        """Remember a new body, not yet durable, and who waits for it."""
        return self._put(Taken(row_id, routing_key, digest, Answers(self._clock()), waiters=[waiter]))

    def failed(self, taken: Taken, error: Exception) -> None:
        """It did not become durable: nothing is remembered of it."""
        self._forget(taken)
        taken.fail(error)

    def restore(self, taken: Taken) -> Taken:
        """Remember again what is durable."""
        return self._put(taken)

    def forget(self, digest: str) -> None:
        """Take the next body of this digest for a new one."""
        if (taken := self._by_digest.get(digest)) is not None:
            self._forget(taken)

    def _put(self, taken: Taken) -> Taken:
        self.forget(taken.digest)
        self._by_digest[taken.digest] = taken
        self._sweep()
        return taken

    def _fresh(self, answers: Answers) -> bool:
        return 0 <= self._clock() - answers.taken_s <= self._window_s

    def _sweep(self) -> None:
        """Forget from the oldest on what is past its window, or too many."""
        while self._by_digest:
            oldest = next(iter(self._by_digest.values()))
            if len(self._by_digest) <= MAX_RECEIPTS and self._fresh(oldest.answers):
                return
            self._forget(oldest)

    def _forget(self, taken: Taken) -> None:
        if self._by_digest.get(taken.digest) is taken:
            del self._by_digest[taken.digest]


class Cases(RetryWindow):
    """The undecodable bodies of the window: each is one row, however often it comes."""

    def join(self, digest: str, waiter: Waiter) -> Taken | None:
        """Count a body that came before, and let its waiter wait with the first; None: it is new."""
        case = self.find(digest)
        if case is None:
            return None
        case.seen += 1
        if case.waiters is not None:
            case.waiters.append(waiter)
        else:
            asyncio.get_running_loop().call_soon(_tell, waiter.quarantined, case.id)
        return case

    def committed(self, taken: Taken, seq: int) -> None:
        """It is kept: say so to all who brought it."""
        taken.seq = seq
        waiters, taken.waiters = taken.waiters or (), None
        for waiter in waiters:
            _tell(waiter.quarantined, taken.id)


class Receipts(RetryWindow):
    """The events of the window that are not answered in full, by digest and, once durable, by seq."""

    def __init__(self, window_s: float, clock: Clock, mark: Mark) -> None:
        super().__init__(window_s, clock)
        self._mark = mark
        self._by_seq: dict[int, Taken] = {}

    def unanswered(self, seq: int) -> Taken | None:
        """Return the unanswered event of this seq."""
        return self._by_seq.get(seq)

    def join(self, digest: str, waiter: Waiter) -> bool:
        """Let a retry wait with its event, or answer it soon where that is durable; False: it is new."""
        taken = self.find(digest)
        if taken is None:
            return False
        if taken.waiters is not None:
            taken.waiters.append(waiter)
        else:
            asyncio.get_running_loop().call_soon(self._answer_retry, taken, waiter)
        return True

    def committed(self, taken: Taken, seq: int) -> None:
        """It is durable and noted as answered: let all who wait for it answer."""
        taken.seq = seq
        waiters, taken.waiters = taken.waiters or (), None
        self._answer(taken, waiters, duplicate=False)

    def restore(self, taken: Taken) -> Taken:
        """Remember again what is durable."""
        super().restore(taken)
        # Only now: what it takes the place of may have had the same seq.
        if self._by_digest.get(taken.digest) is taken:
            self._by_seq[taken.seq] = taken
        return taken

    def unanswer(self, receipt: Receipt) -> Taken | None:
        """A 2xx failed; return the event if it is to be recognised again, for no other 2xx of it stands."""
        receipt.answers.standing -= 1
        stands = receipt.answers.standing > 0 or not self._fresh(receipt.answers)
        if stands or self.find(receipt.digest) is not None:
            return None
        return self.restore(
            Taken(receipt.id, receipt.routing_key, receipt.digest, receipt.answers, receipt.seq)
        )

    def _answer_retry(self, taken: Taken, waiter: Waiter) -> None:
        """Note a durable event as answered and let its retry say so; nothing is awaited in between."""
        if (error := self._mark([taken.seq])) is not None:
            _tell(waiter.failed, error)
        else:
            self._answer(taken, (waiter,), duplicate=True)

    def _answer(self, taken: Taken, waiters: Sequence[Waiter], *, duplicate: bool) -> None:
        """Answers begin: the next equal body is a new event. All but the first are a retry's."""
        taken.answers.standing += len(waiters)
        self._forget(taken)
        for waiter in waiters:
            _tell(waiter.durable, taken.receipt(duplicate=duplicate))
            duplicate = True

    def _forget(self, taken: Taken) -> None:
        super()._forget(taken)
        self._by_seq.pop(taken.seq, None)


def _tell(say: Callable[[T], None], what: T) -> None:
    """Tell one waiter: where that fails, the others and the relay still get theirs."""
    try:
        say(what)
    except Exception as error:  # noqa: BLE001 - it ends in the log
        context = {"message": "whoever waited for an event failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


def microseconds(seconds: float) -> int:
    """Return seconds as the journal stores them."""
    return round(seconds * 1_000_000)
