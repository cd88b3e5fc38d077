"""A row of the journal: its states, how people see it, and what goes in and out with a transaction."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tms_bridge.errors import Unavailable
from tms_bridge.message import Kind, Message
from tms_bridge.outbox.contract import Receipt

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
    test: bool = False
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


class Share(msgspec.Struct, frozen=True):
    """How much of what is stored is one source's, or all of it."""

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
        """What counts against `outbox.max_bytes`: what is meant for the bus."""
        return self.pending_bytes + self.refused_bytes

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.event_bytes + self.held_bytes + self.undecodable_bytes

    def with_more(self, state: State, rows: int, size: int) -> "Share":
        """Return it with so many rows, and their bytes, in `state` on top; negative when they leave."""
        number, amount = f"{state}_rows", f"{state}_bytes"
        more = {number: getattr(self, number) + rows, amount: getattr(self, amount) + size}
        return msgspec.structs.replace(self, **more)


NOTHING: Final = Share()


class Ledger(msgspec.Struct, array_like=True):
    """What the totals say of each source, and when the newest body was received."""

    newest_us: int = 0
    shares: dict[str, Share] = {}


class Totals(msgspec.Struct):
    """The one row that says how much is stored, so that nobody has to count.

    Attributes:
        last_seq: the seq of what was committed last.
        all: what all sources have together.
        ledger: what each has.
    """

    last_seq: int = 0
    all: Share = NOTHING
    ledger: Ledger = msgspec.field(default_factory=Ledger)

    def add(self, state: State, source: str, rows: int, size: int) -> None:
        """Count rows of a source as entering `state`; negative when they leave."""
        self.all = self.all.with_more(state, rows, size)
        shares = self.ledger.shares
        shares[source] = shares.get(source, NOTHING).with_more(state, rows, size)
        if shares[source] == NOTHING:
            del shares[source]

    def copy(self) -> "Totals":
        """Return totals that can be changed apart from these."""
        return Totals(self.last_seq, self.all, Ledger(self.ledger.newest_us, self.ledger.shares.copy()))


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
    held_bytes: int = 0
    sources: dict[str, Share] = {}


_COUNTED: Final = {"outbox": "event_bytes", "held": "held_bytes", "quarantine": "undecodable_bytes"}
"""What each cap counts."""

_COUNTS_AGAINST: Final = {
    State.PENDING: ("outbox",),
    State.HELD: ("held",),
    State.UNDECODABLE: ("outbox", "quarantine"),  # its copy for the bus waits in the outbox
}


class Caps(msgspec.Struct, frozen=True):
    """How much may be stored, and how sources share it.

    Half of each cap is shared out evenly among the sources that are configured: to each its part is reserved.
    The other half is for whoever comes first. Where there is one source, all is for it.

    Attributes:
        outbox: bytes of pending and refused rows (`outbox.max_bytes`).
        held: of held ones (`held.max_bytes`).
        quarantine: of undecodable ones (`quarantine.max_bytes`).
        sources: those that are configured.
    """

    outbox: int
    held: int
    quarantine: int
    sources: Sequence[str] = ()

    def why_full(self, stored: Totals, queued: Totals, state: State, source: str, size: int) -> str:
        """Say why no row of this source, state and size can be taken; empty if it can."""
        reasons = (self._why(name, stored, queued, source, size) for name in _COUNTS_AGAINST[state])
        return next(filter(None, reasons), "")

    def check(self, before: Totals, after: Totals) -> None:
        """Let an operator's transaction go on to its commit.

        Raises:
            Unavailable: it would go beyond a cap.
        """
        for name, amount in _COUNTED.items():
            cap, now = getattr(self, name), getattr(after.all, amount)
            if now > cap and now > getattr(before.all, amount):
                raise Unavailable(f"the {name} is full: {cap} bytes; raise {name}.max_bytes or drain it")

    def _why(self, name: str, stored: Totals, queued: Totals, source: str, size: int) -> str:
        cap, amount = getattr(self, name), _COUNTED[name]
        used = getattr(stored.all, amount) + getattr(queued.all, amount) + size
        if 2 * used <= cap:  # at most half of a cap is ever reserved
            return ""
        if used > cap:
            return f"the {name} holds its {cap} bytes ({name}.max_bytes)"
        reserved = self._reserved(amount, cap, stored, queued, source)
        if used + reserved > cap:
            return (
                f"the {name} has no more room for the source {source}: {reserved} of its {cap} bytes "
                f"({name}.max_bytes) are kept for other sources"
            )
        return ""

    def _reserved(self, amount: str, cap: int, stored: Totals, queued: Totals, source: str) -> int:
        """Return what the other sources have not used of their parts."""
        part = cap // (2 * len(self.sources)) if len(self.sources) > 1 else 0
        reserved = 0
        for other in self.sources:
            if other != source:
                has = (totals.ledger.shares.get(other, NOTHING) for totals in (stored, queued))
                reserved += max(0, part - sum(getattr(share, amount) for share in has))
        return reserved


class NewRow(msgspec.Struct, frozen=True):
    """A message on its way in; an UNDECODABLE one also sends its copy to the bus, under the same seq.

    Attributes:
        message: what is kept.
        blob: the message as stored.
        receipt: what is remembered of it, and who waits.
        state: PENDING, HELD or UNDECODABLE.
    """

    message: Message
    blob: bytes
    receipt: Receipt
    state: State = State.PENDING


class Batch(msgspec.Struct):
    """What one group commit writes: new rows, and what departs.

    Attributes:
        rows: what is new.
        settled: the seqs of what the broker has.
        refused: those of what no retry can deliver, and why.
        owed: events whose rows are gone, or going, while TMS may still retry them.
        seen: how often the undecodable bodies of these seqs came.
    """

    rows: list[NewRow] = []
    settled: list[int] = []
    refused: list[tuple[int, str]] = []
    owed: list[Receipt] = []
    seen: dict[int, int] = {}


pack: Final = msgspec.msgpack.Encoder().encode
"""Encodes a message or a ledger as the journal stores it."""

_decoder = msgspec.msgpack.Decoder(Message)
_ledger_decoder = msgspec.msgpack.Decoder(Ledger)


def unpack_ledger(blob: bytes) -> Ledger:
    """Decode what `pack` made.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    try:
        return _ledger_decoder.decode(blob)
    except msgspec.MsgspecError as error:
        raise sqlite3.DatabaseError(f"its totals cannot be read: {error}") from error


def unpack(blob: bytes) -> Message:
    """Decode what `pack` made.

    Raises:
        sqlite3.DatabaseError: this is no message: the file is damaged.
    """
    try:
        return _decoder.decode(blob)
    except msgspec.MsgspecError as error:
        raise sqlite3.DatabaseError(f"a row holds no message: {error}") from error
