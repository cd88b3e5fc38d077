"""What the rest of the service may ask of an outbox: the journal on disk, or the one in memory.

`web` takes in, `relay` carries away, `admin` looks and repairs. All methods belong to the event loop.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from tms_bridge.message import Message

Durable = Literal["outbox", "broker"]


class Receipt(msgspec.Struct):
    """One event or undecodable body that the outbox took in; whoever is told of it as durable answers 2xx.

    Attributes:
        seq: place in the outbox, rising by one for each message taken in; 0 until it is durable.
        id: the event's id, the same for every retry of this body.
        routing_key: where the event goes; empty when held.
        taken_us: when the body was first taken in, microseconds of the monotonic clock.
        first: what this is a retry's receipt of; None for that of the first request.
        waiters: who waits for it to be durable; none once it is.
        standing: how many 2xx were begun and not taken back, over all requests that brought the event, of
            which the first's receipt keeps count. A first request and its retry may be answered at the same
            moment: that one of them failed must not bring the event back while the other stands.
        seen: how often the body came; counted for undecodable ones.
    """

    seq: int
    id: str
    routing_key: str
    digest: str
    taken_us: int = 0
    first: "Receipt | None" = None
    waiters: "tuple[Waiter, ...]" = ()
    standing: int = 0
    seen: int = 1

    @property
    def duplicate(self) -> bool:
        """Whether it is a retry's."""
        return self.first is not None


class OutboxEntry(msgspec.Struct, frozen=True, gc=False):
    """A pending message in its place."""

    seq: int
    message: Message


class Waiter(Protocol):
    """Who waits for a body to be safe: one of these is called, once, and must not raise."""

    def durable(self, receipt: Receipt) -> None:
        """Answer 2xx now, for the event counts as answered already; where that fails, say `unanswered`."""
        ...

    def quarantined(self, row_id: str) -> None:
        """Answer that the body is no event, and that it is kept under this id."""
        ...

    def failed(self, error: Exception) -> None:
        """Answer that it is not safe, or that it cannot be noted as answered."""
        ...


class Intake(Protocol):
    """What the webhook listener asks. Waiters are told later, never before these return."""

    durable: Durable

    def join(self, digest: str, waiter: Waiter) -> bool:
        """Let the retry of an unanswered event wait with it; False: this digest is new, nothing was done.

        What is then taken in without an await in between cannot have come twice.
        """
        ...

    def take(self, message: Message, waiter: Waiter) -> None:
        """Make an event durable that is no retry, and note it as answered; then its waiter is told.

        Durable: synced to the disk, or confirmed by the broker. The note survives SIGKILL.

        Raises:
            Unavailable: the outbox is full; nothing was taken, and the waiter hears nothing.
        """
        ...

    def hold(self, message: Message, waiter: Waiter) -> None:
        """As `take`, but into quarantine, unpublished, until an operator releases it."""
        ...

    def quarantine(self, message: Message, waiter: Waiter) -> None:
        """Keep an undecodable body (kind QUARANTINE), and send its copy to the quarantine exchange.

        Raises:
            Unavailable: the quarantine is full.
        """
        ...

    def unanswered(self, receipt: Receipt) -> None:
        """Take the note back: the connection closed before the whole 2xx was handed over."""
        ...


class Pending(Protocol):
    """What the relay asks."""

    async def page(self, after: int, limit: int, *, wait: bool = True) -> Sequence[OutboxEntry]:
        """Return up to `limit` pending entries with seq > `after`, in order.

        Where there are none it waits for the next, unless told not to; then the page is empty.
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
