"""A row of the journal: its states, how people see it, and what goes in and out with a transaction."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tms_bridge.message import Kind, Message
from tms_bridge.outbox.contract import Entry

MAX_SEQ: Final = (1 << 63) - 1
"""What SQLite can hold."""

ROW_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}(?![\s\S])"
"""An id that can be given to a command and put into a path; `$` would let a line's end pass."""

_LAST_MOMENT_US: Final = 253_402_300_799_999_999
"""The end of the year 9999."""


class State(StrEnum):
    """Where a row stands; `states` has the table of transitions."""

    PENDING = "pending"
    REFUSED = "refused"
    HELD = "held"
    UNDECODABLE = "undecodable"


OUTBOX: Final = (State.PENDING, State.REFUSED)
"""The states of what `outbox` shows: events that were answered 2xx and are meant for the bus."""

QUARANTINE: Final = (State.UNDECODABLE, State.HELD)
"""The states of what `quarantine` shows."""


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stored row as people see it, in the API, in commands, and as a line of an export.

    Attributes:
        state: where it stands.
        seq: its place; it rises with every commit.
        why: why it was refused, held or not understood; empty for a pending event.
        seen: how often its body came.
        received_at: `received_at_us` for people, RFC 3339.
        body: the message's, or the raw one where that could not be understood; absent in lists.
        bytes: how long the body is.
    """

    state: State
    seq: Annotated[int, Meta(ge=0, le=MAX_SEQ)]
    why: str
    seen: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    id: Annotated[str, Meta(pattern=ROW_ID)]
    kind: Kind
    source: str
    trigger: str
    status: str
    routing_key: Annotated[str, Meta(max_length=255)]
    entity: str
    received_at_us: Annotated[int, Meta(ge=0, le=_LAST_MOMENT_US)]
    received_at: str = ""
    digest: str
    traceparent: str
    replayed: bool
    reason: str
    body: bytes | UnsetType = UNSET
    bytes: int = 0

    @property
    def message(self) -> Message:
        """The message as it is stored; without a body where this row came from a list."""
        parts = {name: getattr(self, name) for name in Message.__struct_fields__}
        return Message(**parts | ({"body": b""} if self.body is UNSET else {}))

    @classmethod
    def of(cls, stored: "Stored", *, with_body: bool) -> "Row":
        """Return the row that a query found."""
        state, seq, blob, why, seen = stored
        message = unpack(blob)
        parts = {name: getattr(message, name) for name in Message.__struct_fields__}
        if not with_body:
            parts["body"] = UNSET
        return cls(
            state=State(state),
            seq=seq,
            why=message.reason if why is None else why,
            seen=seen,
            received_at=moment(message.received_at_us),
            bytes=len(message.body),
            **parts,
        )


Stored = tuple[str, int, bytes, str | None, int]
"""State, seq, message, why and seen, as `queries` selects them."""


def moment(unix_us: int) -> str:
    """Write a moment as RFC 3339, to the millisecond."""
    told = datetime.fromtimestamp(unix_us // 1_000_000, UTC)
    return f"{told:%Y-%m-%dT%H:%M:%S}.{unix_us // 1000 % 1000:03}Z"


class Stats(msgspec.Struct, frozen=True):
    """The outbox in numbers, as of the last commit; `unavailable` says why new events are refused."""

    events: int
    bytes: int
    oldest_us: int | None
    refused: int
    held: int
    undecodable: int
    undecodable_bytes: int
    last_seq: int
    free_bytes: int
    unavailable: str


class Totals(msgspec.Struct):
    """The one row that says how much is stored, so that nobody has to count."""

    last_seq: int = 0
    pending_rows: int = 0
    pending_bytes: int = 0
    refused_rows: int = 0
    refused_bytes: int = 0
    held_rows: int = 0
    held_bytes: int = 0
    undecodable_rows: int = 0
    undecodable_bytes: int = 0

    @property
    def event_bytes(self) -> int:
        """What counts against `outbox.max_bytes`: every event, whatever its state."""
        return self.pending_bytes + self.refused_bytes + self.held_bytes

    def add(self, state: State, rows: int, size: int) -> None:
        """Count `rows` rows of `size` bytes in all as entering `state`; negative when they leave."""
        match state:
            case State.PENDING:
                self.pending_rows += rows
                self.pending_bytes += size
            case State.REFUSED:
                self.refused_rows += rows
                self.refused_bytes += size
            case State.HELD:
                self.held_rows += rows
                self.held_bytes += size
            case State.UNDECODABLE:
                self.undecodable_rows += rows
                self.undecodable_bytes += size


class NewRow(msgspec.Struct, frozen=True):
    """A message on its way in; an UNDECODABLE one also sends its copy to the bus, under the same seq.

    Attributes:
        message: what is kept.
        blob: the message as stored.
        taken_us: when its body was taken in, monotonic microseconds; None where no retry is to be expected.
        state: PENDING, HELD or UNDECODABLE.
    """

    message: Message
    blob: bytes
    taken_us: int | None
    state: State = State.PENDING


class Owed(msgspec.Struct, frozen=True):
    """An event whose row is gone, or going, while TMS may still retry it."""

    seq: int
    taken_us: int
    id: str
    routing_key: str
    digest: str


class Case(msgspec.Struct, frozen=True):
    """An undecodable body of the last window: its row, and how often it was seen."""

    seq: int
    taken_us: int
    id: str
    digest: str
    seen: int


class Batch(msgspec.Struct):
    """What one group commit writes."""

    rows: list[NewRow] = []
    settled: list[int] = []
    refused: list[tuple[int, str]] = []
    owed: list[Owed] = []
    seen: dict[int, int] = {}

    def without_rows(self) -> "Batch":
        """Return what needs no new room: the departures."""
        return Batch(settled=self.settled, refused=self.refused, owed=self.owed, seen=self.seen)


class Appended(msgspec.Struct, frozen=True):
    """What was put at the tail: how many rows, and those that the relay takes."""

    rows: int
    pending: Sequence[Entry]


class Unanswered(msgspec.Struct, frozen=True):
    """What recognition needs after a restart."""

    events: Sequence[Owed]
    cases: Sequence[Case]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def pack(message: Message) -> bytes:
    """Encode a message as the journal stores it."""
    return _encoder.encode(message)


def unpack(blob: bytes) -> Message:
    """Decode what `pack` made.

    Raises:
        sqlite3.DatabaseError: this is no message: the file is damaged.
    """
    try:
        return _decoder.decode(blob)
    except msgspec.MsgspecError as error:
        raise sqlite3.DatabaseError(f"a row holds no message: {error}") from error
