"""What goes into the journal in one transaction, and what comes back."""

import sqlite3
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from tms_bridge.message import Message
from tms_bridge.outbox.contract import Entry


class State(StrEnum):
    """Where a row stands; `states` has the table of transitions."""

    PENDING = "pending"
    REFUSED = "refused"
    HELD = "held"
    UNDECODABLE = "undecodable"


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


class Imported(msgspec.Struct, frozen=True):
    """One row of an export, to be appended."""

    message: Message
    state: State
    reason: str
    """Why it was refused; of no meaning otherwise."""
    seen: int = 1


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
