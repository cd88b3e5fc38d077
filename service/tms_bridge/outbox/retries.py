"""Recognition of TMS's retries: the bodies of the last window that were taken in and not answered in full."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from tms_bridge.outbox.contract import Answers, Receipt, Waiter
from tms_bridge.outbox.rows import Owed

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds that never go back: `time.monotonic`, or a test's."""

MAX_RECEIPTS = 65_536
"""More unanswered events are not remembered: the oldest is forgotten, which costs a copy at most."""


class Taken(msgspec.Struct):
    """A body that was taken in, and what became of it so far.

    Attributes:
        waiters: who waits for it to be durable; None once it is.
        prompt: who answers it as soon as it is, without a coroutine; None once told.
        seen: how often the body came; counted for undecodable ones.
    """

    id: str
    routing_key: str
    digest: str
    answers: Answers
    seq: int = 0
    waiters: list[asyncio.Future[None]] | None = None
    seen: int = 1
    prompt: Waiter | None = None

    def receipt(self, *, duplicate: bool) -> Receipt:
        """Return what the listener gets for it."""
        return Receipt(self.seq, self.id, self.routing_key, self.digest, duplicate, self.answers)

    def owed(self) -> Owed:
        """Return what the journal keeps of it when its row goes."""
        return Owed(self.seq, microseconds(self.answers.taken_s), self.id, self.routing_key, self.digest)

    async def durable(self) -> None:
        """Wait until it is durable; one waiter's cancellation is nobody else's."""
        if self.waiters is not None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            await waiter

    def resolve(self, seq: int) -> None:
        """It is durable as `seq`."""
        self.seq = seq
        waiters, self.waiters = self.waiters or (), None
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.prompt is not None:
            prompt, self.prompt = self.prompt, None
            _tell(prompt.durable, self.receipt(duplicate=False))

    def fail(self, error: Exception) -> None:
        """It is not durable and will not be."""
        waiters, self.waiters = self.waiters or (), None
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self.fail_prompt(error)

    def fail_prompt(self, error: Exception) -> None:
        """Whoever would answer without a coroutine must not answer 2xx."""
        if self.prompt is not None:
            prompt, self.prompt = self.prompt, None
            _tell(prompt.failed, error)


class Window:
    """What came within the window, by digest; bounded in time and number."""

    def __init__(self, window_s: float, clock: Clock) -> None:
        self._window_s = window_s
        self._clock = clock
        self._by_digest: dict[str, Taken] = {}

    def find(self, digest: str) -> Taken | None:
        """Return what came of this digest, if its window is not over."""
        taken = self._by_digest.get(digest)
        return taken if taken is not None and self._fresh(taken.answers) else None

    def take(self, row_id: str, routing_key: str, digest: str, prompt: Waiter | None = None) -> Taken:
        """Remember a new body, not yet durable."""
        return self._put(
            Taken(row_id, routing_key, digest, Answers(self._clock()), waiters=[], prompt=prompt)
        )

    def committed(self, taken: Taken, seq: int) -> None:
        """It is durable: let its waiters go on."""
        taken.resolve(seq)

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


class Receipts(Window):
    """The events of the window that are not answered in full, by digest and, once durable, by seq."""

    def __init__(self, window_s: float, clock: Clock) -> None:
        super().__init__(window_s, clock)
        self._by_seq: dict[int, Taken] = {}

    def unanswered(self, seq: int) -> Taken | None:
        """Return the unanswered event of this seq."""
        return self._by_seq.get(seq)

    def committed(self, taken: Taken, seq: int) -> None:
        """It is durable: let its waiters go on; from now on it is known by its seq too."""
        if taken.prompt is not None:
            taken.answers.standing += 1
            self._forget(taken)
        super().committed(taken, seq)
        if self._by_digest.get(taken.digest) is taken:
            self._by_seq[seq] = taken

    def restore(self, taken: Taken) -> Taken:
        """Remember again what is durable."""
        super().restore(taken)
        # Only now: what it takes the place of may have had the same seq.
        if self._by_digest.get(taken.digest) is taken:
            self._by_seq[taken.seq] = taken
        return taken

    def answering(self, receipt: Receipt) -> None:
        """A 2xx begins: the next equal body is a new event."""
        receipt.answers.standing += 1
        if (taken := self._by_seq.get(receipt.seq)) is not None:
            self._forget(taken)

    def unanswer(self, receipt: Receipt) -> Taken | None:
        """A 2xx failed; return the event if it is to be recognised again, for no other 2xx of it stands."""
        receipt.answers.standing -= 1
        stands = receipt.answers.standing > 0 or not self._fresh(receipt.answers)
        if stands or self.find(receipt.digest) is not None:
            return None
        return self.restore(
            Taken(receipt.id, receipt.routing_key, receipt.digest, receipt.answers, receipt.seq)
        )

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
