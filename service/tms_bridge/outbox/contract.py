"""What the rest of the service may ask of an outbox: the journal on disk, or the one in memory.

`web` takes in, `relay` carries away, `admin` looks and repairs. All methods belong to the event loop.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from tms_bridge.message import Message

Durable = Literal["outbox", "broker"]


class Answers(msgspec.Struct, gc=False):
    """The 2xx answers to one event, over all the requests that brought it; its receipts share it.

    A first request and its retry may be answered at the same moment. That one of them failed must not
    bring the event back into recognition while the other stands.

    Attributes:
        taken_s: when the body was first taken in, by the monotonic clock.
        standing: how many answers were begun and not taken back.
    """

    taken_s: float = 0.0
    standing: int = 0


class Receipt(msgspec.Struct, gc=False):
    """What the outbox remembers of one body that it took in, until its 2xx was answered in full.

    Attributes:
        seq: place in the outbox, rising by one for each message taken in.
        id: the event's id, the same for every retry of this body.
        routing_key: where the event goes; empty when held.
        duplicate: true when this call recognised a retry of an event already taken in.
        answers: the outbox's own count, shared by every receipt of the event.
    """

    seq: int
    id: str
    routing_key: str
    digest: str
    duplicate: bool = False
    answers: Answers = msgspec.field(default_factory=Answers)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A pending message in its place."""

    seq: int
    message: Message


class Quarantined(msgspec.Struct, frozen=True, gc=False):
    """The answer to a quarantined body: its row's id, and how often the body was seen in its window."""

    id: str
    seen: int


class Waiter(Protocol):
    """Who waits for an event without a coroutine: one of these is called, once, and must not raise."""

    def durable(self, receipt: Receipt) -> None:
        """Answer 2xx now, for the event counts as answered already; where that fails, say `unanswered`."""
        ...

    def failed(self, error: Exception) -> None:
        """Answer that the event is not durable, or that it cannot be noted as answered."""
        ...


class Intake(Protocol):
    """What the webhook listener asks."""

    durable: Durable

    def knows(self, digest: str) -> bool:
        """Return whether this digest is a retry's: `recall` would find it."""
        ...

    def take(self, message: Message, waiter: Waiter) -> None:
        """Make an event durable that is no retry, and note it as answered; its waiter is told after this.

        Raises:
            Unavailable: the outbox is full; nothing was taken, and the waiter hears nothing.
        """
        ...

    async def recall(self, digest: str) -> Receipt | None:
        """Return the receipt of an unanswered event of this digest once it is durable; None: it is new.

        Must not await anything when there is no such receipt, so that recall-then-accept is atomic.
        Raises Unavailable as `accept` does.
        """
        ...

    async def accept(self, message: Message) -> Receipt:
        """Make a new event durable; return when it is (fsync, or the broker's confirm).

        A concurrent retry of the same digest joins the first.

        Raises:
            Unavailable: the outbox is full, or it broke while this waited.
        """
        ...

    async def hold(self, message: Message) -> Receipt:
        """As accept, but into quarantine, unpublished, until an operator releases it."""
        ...

    async def quarantine(self, message: Message) -> Quarantined:
        """Keep an undecodable body (kind QUARANTINE) and send its copy to the quarantine exchange.

        Raises:
            Unavailable: the quarantine is full.
        """
        ...

    def answering(self, receipt: Receipt) -> None:
        """Note, before the first byte of a 2xx, that this event is answered; it survives SIGKILL."""
        ...

    def unanswered(self, receipt: Receipt) -> None:
        """Take `answering` back: the connection closed before the whole answer was handed over."""
        ...


class Pending(Protocol):
    """What the relay asks."""

    async def page(self, after: int, limit: int) -> Sequence[Entry]:
        """Return up to `limit` pending entries with seq > `after`, in order; waits while there are none.

        The relay may go back: `after` may be lower than before. What was settled or refused before the
        call is never among the entries, even where its row is not deleted yet. Safe to cancel.

        Raises:
            OutboxBroken: nothing will come any more.
        """
        ...

    @property
    def last_seq(self) -> int:
        """The highest seq that a page may show now."""
        ...

    @property
    def leaving(self) -> int:
        """How many rows were settled or refused and are still on disk: copies, if the process died now."""
        ...

    def settle(self, seq: int) -> None:
        """The broker has it: forget the row with the next batch."""
        ...

    def refuse(self, seq: int, reason: str) -> None:
        """No retry can deliver it: park it for an operator."""
        ...
