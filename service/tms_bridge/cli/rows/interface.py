"""What may be asked of the rows, whoever holds them."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from tms_bridge.outbox.rows import State
from tms_bridge.outbox.stats import Stats


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the outbox or the quarantine, body and all; equal to a line of an export.

    Attributes:
        why: why it was refused, held or could not be understood; empty for a pending event.
        body: what the message would hold, or the raw body where it could not be understood.
    """

    state: State
    seq: int
    id: str
    source: str
    trigger: str
    status: str = ""
    routing_key: str = ""
    entity: str = ""
    received_at_us: int
    digest: str = ""
    replayed: bool = False
    why: str = ""
    seen: int = 1
    body: bytes = b""

    @property
    def received_at(self) -> str:
        """When the body was first taken in."""
        return moment(self.received_at_us)


def moment(unix_us: int) -> str:
    """Write a moment for people, to the second."""
    return f"{datetime.fromtimestamp(unix_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S}Z"


class Status(msgspec.Struct, frozen=True):
    """The outbox and the quarantine in numbers.

    Attributes:
        pending: events that wait for the broker; the oldest was received at `oldest_at`.
        bytes: of stored events, whatever their state.
        refused: events that no retry can deliver.
        held: events from an address that is not listed.
        undecodable: bodies that could not be understood.
        unavailable: why new events are answered 503 just now; empty while they are taken.
    """

    pending: int
    bytes: int
    oldest_at: str | None
    refused: int
    held: int
    undecodable: int
    undecodable_bytes: int
    unavailable: str

    @classmethod
    def of(cls, stats: Stats) -> "Status":
        """Return what a command shows of the outbox's own numbers."""
        return cls(
            pending=stats.events,
            bytes=stats.bytes,
            oldest_at=moment(stats.oldest_us) if stats.oldest_us is not None else None,
            refused=stats.refused,
            held=stats.held,
            undecodable=stats.undecodable,
            undecodable_bytes=stats.undecodable_bytes,
            unavailable=stats.unavailable,
        )


class Rows(Protocol):
    """The rows, in the directory or behind the admin API."""

    async def status(self) -> Status:
        """Return the numbers."""
        ...

    async def listed(self, state: State, after: int, limit: int) -> list[Row]:
        """Return up to `limit` rows of a state whose seq is above `after`, in order."""
        ...

    async def shown(self, row_id: str, states: Iterable[State]) -> Row:
        """Return the row of this id.

        Raises:
            RowMissing: there is none in these states.
        """
        ...

    async def retry(self, event_id: str) -> None:
        """Send a refused event again.

        Raises:
            RowMissing: nothing refused has this id.
            RowBusy: it is on its way already.
        """
        ...

    async def release(self, event_id: str) -> None:
        """Send a held event.

        Raises:
            RowMissing: nothing held has this id.
        """
        ...

    async def replay(self, quarantine_id: str) -> None:
        """Read an undecodable body once more, and send the event that it turns out to be; release a held one.

        Raises:
            RowMissing: nothing in quarantine has this id.
            Undecodable: it still is none, and stays.
        """
        ...

    async def drop(self, row_id: str, states: Iterable[State]) -> None:
        """Forget a row for good.

        Raises:
            RowMissing: there is none in these states.
            RowBusy: it is in flight.
        """
        ...

    def exported(self, states: Iterable[State]) -> AsyncIterator[bytes]:
        """Yield every row of these states as a line of JSON, with nothing left out."""
        ...

    async def imported(self, lines: Iterable[bytes]) -> tuple[int, int]:
        """Append exported rows; return how many came, and how many were there already.

        Raises:
            ValueError: a line is none of an export.
        """
        ...


PAGE = 500


async def every(rows: Rows, states: Iterable[State], at_most: int | None = None) -> AsyncIterator[Row]:
    """Yield the rows of these states, oldest first, a page at a time."""
    left = at_most
    for state in states:
        after = 0
        while left != 0 and (
            page := await rows.listed(state, after, PAGE if left is None else min(PAGE, left))
        ):
            for row in page:
                yield row
            after = page[-1].seq
            left = None if left is None else left - len(page)
