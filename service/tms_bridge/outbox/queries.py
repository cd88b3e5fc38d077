"""What may be asked of the journal's rows; nothing here changes one."""

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from tms_bridge.message import Message
from tms_bridge.outbox.contract import Entry
from tms_bridge.outbox.rows import Case, Owed, State, Unanswered, unpack

PAGE_BYTES = 8 << 20
_CHUNK = 256
_PLACES = "(" + ", ".join("?" * _CHUNK) + ")"
_STORED = tuple(
    f"SELECT seq, taken_us, message, {held} FROM {rows} AND taken_us NOT NULL AND seq IN {_PLACES}"  # noqa: S608 - our names
    for rows, held in (
        ("pending WHERE true", 0),
        ("refused WHERE true", 0),
        ("quarantine WHERE state = 'held'", 1),
    )
)


class Kept(msgspec.Struct, frozen=True):
    """One row as an operator sees it.

    Attributes:
        reason: why it was refused, quarantined or held; empty for a pending event.
        seen: how often its body came; 1 outside quarantine.
    """

    seq: int
    state: State
    message: Message
    size: int
    reason: str = ""
    seen: int = 1

    @classmethod
    def of(cls, state: State, row: tuple[int, bytes, str | None, int]) -> "Kept":
        """Return the row that `listed` selects."""
        seq, blob, reason, seen = row
        message = unpack(blob)
        return cls(seq, state, message, len(blob), message.reason if reason is None else reason, seen)


class Queries:
    """Reads, behind the same connection as `States`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def page(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` pending entries after a seq, in order."""
        statement = "SELECT seq, message FROM pending WHERE seq > ? ORDER BY seq LIMIT ?"
        return [Entry(seq, unpack(blob)) for seq, blob in self._up_to_page(statement, after, limit)]

    def oldest_us(self) -> int | None:
        """Return when the pending event at the head was received."""
        head = self.page(0, 1)
        return head[0].message.received_at_us if head else None

    def reusable_bytes(self) -> int:
        """Return what can be written inside the file without growing it."""
        ((pages,),) = self._all("PRAGMA freelist_count")
        ((size,),) = self._all("PRAGMA page_size")
        return int(pages) * int(size)

    def kept(self, state: State, after: int, limit: int) -> list[Kept]:
        """Return up to `limit` rows of a state after a seq, in order."""
        return [Kept.of(state, row) for row in self._up_to_page(listed(state), after, limit)]

    def find(self, row_id: str, states: Iterable[State]) -> Kept | None:
        """Return the row of this id in the first of these states that has one."""
        for state in states:
            for row in self._all(listed(state, "id = ?"), row_id, 1):
                return Kept.of(state, row)
        return None

    def unanswered(self, seqs: Iterable[int], floor: int, since_us: int) -> Unanswered:
        """Return what is still owed an answer.

        Args:
            seqs: those that were not answered, from the newest back.
            floor: seqs up to here are of an earlier boot, or too old.
            since_us: the beginning of the window, by the monotonic clock.
        """
        newest_first = list(seqs)
        events = [*self._rows_owed(newest_first, since_us), *self._receipts(set(newest_first), since_us)]
        return Unanswered(sorted(events, key=lambda owed: owed.seq), self._cases(floor, since_us))

    def _rows_owed(self, newest_first: Sequence[int], since_us: int) -> list[Owed]:
        """Look rows up by their key until they are older than the window."""
        owed: list[Owed] = []
        seqs = iter(newest_first)
        while chunk := list(islice(seqs, _CHUNK)):
            chunk += [0] * (_CHUNK - len(chunk))
            found = [_owed(row) for statement in _STORED for row in self._all(statement, *chunk)]
            owed += (row for row in found if row.taken_us >= since_us)
            if any(row.taken_us < since_us for row in found):
                break
        return owed

    def _receipts(self, unanswered: set[int], since_us: int) -> list[Owed]:
        statement = "SELECT seq, taken_us, id, routing_key, digest FROM receipts WHERE taken_us >= ?"
        return [Owed(*row) for row in self._all(statement, since_us) if row[0] in unanswered]

    def _cases(self, floor: int, since_us: int) -> list[Case]:
        statement = (
            "SELECT seq, taken_us, message, seen, state FROM quarantine "
            "WHERE taken_us NOT NULL AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        )
        cases: list[Case] = []
        before = 1 << 62
        while rows := self._all(statement, floor, before, _CHUNK):
            recent = [row for row in rows if row[1] >= since_us]
            cases += (_case(row) for row in recent if row[4] == State.UNDECODABLE)
            before = rows[-1][0]
            if len(recent) < len(rows):
                break
        return cases[::-1]

    def _up_to_page(self, statement: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]  # as below
        """Return rows whose second column is a message, until they are many bytes: bodies differ in size."""
        rows, size = [], 0
        cursor = self._connection.execute(statement, values)
        for row in cursor:
            rows.append(row)
            size += len(row[1])
            if size > PAGE_BYTES:
                break
        cursor.close()  # an open one would hold the log back
        return rows

    def _all(self, statement: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]  # sqlite3's own
        return self._connection.execute(statement, values).fetchall()


def waiting_in(directory: Path) -> int | None:
    """Return how many events wait in an outbox directory, without holding it; None where none can be read."""
    journal = directory / "outbox.db"
    if not journal.is_file():
        return None
    try:
        with contextlib.closing(
            sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
        ) as reader:
            ((count,),) = reader.execute("SELECT count(*) FROM pending").fetchall()
    except sqlite3.Error:
        return None
    return int(count)


def listed(state: State, where: str = "seq > ?", *, newest_first: bool = False) -> str:
    """Return the statement that lists rows of a state."""
    if state is State.PENDING:
        columns = "seq, message, '', 1 FROM pending WHERE"
    elif state is State.REFUSED:
        columns = "seq, message, reason, 1 FROM refused WHERE"
    else:
        columns = f"seq, message, NULL, seen FROM quarantine WHERE state = '{state}' AND"
    return f"SELECT {columns} {where} ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT ?"


def _owed(row: tuple[int, int, bytes, int]) -> Owed:
    seq, taken_us, blob, held = row
    message = unpack(blob)
    return Owed(seq, taken_us, message.id, "" if held else message.routing_key, message.digest)


def _case(row: tuple[int, int, bytes, int, str]) -> Case:
    seq, taken_us, blob, seen, _ = row
    message = unpack(blob)
    return Case(seq, taken_us, message.id, message.digest, seen)
