"""What may be asked of the journal's rows, also of a damaged file's; nothing here changes one."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tms_bridge.errors import OutboxError, OutboxLocked
from tms_bridge.outbox.contract import OutboxEntry, Receipt
from tms_bridge.outbox.rows import Row, State, Stored, unpack

PAGE_BYTES = 4 << 20
_CHUNK = 256
_PLACES = "(" + ", ".join("?" * _CHUNK) + ")"
_STORED = tuple(
    f"SELECT seq, taken_us, message, {unsent} FROM {rows} AND taken_us NOT NULL AND seq IN {_PLACES}"  # noqa: S608 - our names
    for rows, unsent in (
        ("pending WHERE true", 0),
        ("refused WHERE true", 0),
        ("quarantine WHERE state = 'held'", 1),
    )
)


class Queries:
    """Reads, behind the same connection as `States`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def page(self, after: int, limit: int) -> list[OutboxEntry]:
        """Return up to `limit` pending entries after a seq, in order."""
        statement = "SELECT seq, message FROM pending WHERE seq > ? ORDER BY seq LIMIT ?"
        return [OutboxEntry(seq, unpack(blob)) for seq, blob in self._up_to_page(statement, after, limit)]

    def oldest_us(self) -> int | None:
        """Return when the pending event at the head was received."""
        head = self.page(0, 1)
        return head[0].message.received_at_us if head else None

    def reusable_bytes(self) -> int:
        """Return what can be written inside the file without growing it."""
        ((pages,),) = self._all("PRAGMA freelist_count")
        ((size,),) = self._all("PRAGMA page_size")
        return int(pages) * int(size)

    def rows(self, states: Sequence[State], after: int, limit: int, *, with_body: bool) -> list[Row]:
        """Return up to `limit` rows of these states after a seq, in order; fewer where they are large."""
        places = [_listed(state) for state in states]
        statement = " UNION ALL ".join(places) + " ORDER BY seq LIMIT ?"
        found = self._up_to_page(statement, *[after] * len(places), limit)
        return [Row.of(row, with_body=with_body) for row in found]

    def find(self, row_id: str, states: Sequence[State]) -> Row | None:
        """Return the row of this id, body and all, in the first of these states that has one."""
        for state in states:
            for row in self._all(f"{_listed(state, 'id = ?')} ORDER BY seq LIMIT 1", row_id):
                return Row.of(row, with_body=True)
        return None

    def unanswered(
        self, seqs: Iterable[int], floor: int, since_us: int
    ) -> tuple[list[Receipt], list[Receipt]]:
        """Return the events that are still owed an answer, and the undecodable bodies of the window.

        Args:
            seqs: those that were not answered, from the newest back.
            floor: seqs up to here are of an earlier boot, or too old.
            since_us: the beginning of the window, by the monotonic clock.
        """
        newest_first = list(seqs)
        events = [*self._rows_owed(newest_first, since_us), *self._receipts(set(newest_first), since_us)]
        return sorted(events, key=lambda event: event.seq), self._cases(floor, since_us)

    def _rows_owed(self, newest_first: Sequence[int], since_us: int) -> list[Receipt]:
        """Look rows up by their key until they are older than the window."""
        owed: list[Receipt] = []
        seqs = iter(newest_first)
        while chunk := list(islice(seqs, _CHUNK)):
            chunk += [0] * (_CHUNK - len(chunk))
            found = [row for statement in _STORED for row in self._all(statement, *chunk)]
            recent = [row for row in found if row[1] >= since_us]
            owed += (_receipt(*row) for row in recent)
            if len(recent) < len(found):
                break
        return owed

    def _receipts(self, unanswered: set[int], since_us: int) -> list[Receipt]:
        statement = "SELECT seq, id, routing_key, digest, taken_us FROM receipts WHERE taken_us >= ?"
        return [Receipt(*row) for row in self._all(statement, since_us) if row[0] in unanswered]

    def _cases(self, floor: int, since_us: int) -> list[Receipt]:
        statement = (
            "SELECT seq, taken_us, message, 1, seen, state FROM quarantine "
            "WHERE taken_us NOT NULL AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        )
        cases: list[Receipt] = []
        before = 1 << 62
        while rows := self._all(statement, floor, before, _CHUNK):
            recent = [row for row in rows if row[1] >= since_us]
            cases += (_receipt(*row[:5]) for row in recent if row[5] == State.UNDECODABLE)
            before = rows[-1][0]
            if len(recent) < len(rows):
                break
        return cases[::-1]

    def _up_to_page(self, statement: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]  # as below
        """Return rows until their messages are many bytes, for bodies differ in size."""
        rows, size = [], 0
        cursor = self._connection.execute(statement, values)
        message = [column[0] for column in cursor.description].index("message")
        for row in cursor:
            rows.append(row)
            size += len(row[message])
            if size > PAGE_BYTES:
                break
        cursor.close()  # an open one would hold the log back
        return rows

    def _all(self, statement: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]  # sqlite3's own
        return self._connection.execute(statement, values).fetchall()


def waiting_in(directory: Path) -> int | None:
    """Return how many events wait in an outbox directory, without holding it; None where there is no outbox.

    Raises:
        OutboxLocked: a running bridge has it open.
        OutboxError: it cannot be read; the text says why.
    """
    journal = directory / "outbox.db"
    if not journal.is_file():
        return None
    try:
        with contextlib.closing(
            sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
        ) as reader:
            ((count,),) = reader.execute("SELECT count(*) FROM pending").fetchall()
    except sqlite3.Error as error:
        is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        raise OutboxLocked(str(error)) if is_busy else OutboxError(str(error)) from None
    return int(count)


def _listed(state: State, where: str = "seq > ?") -> str:
    """Return the statement that finds rows of a state, as `Row.of` takes them."""
    if state is State.PENDING:
        columns, table = "'' AS why, 1 AS seen", "pending WHERE"
    elif state is State.REFUSED:
        columns, table = "reason AS why, 1 AS seen", "refused WHERE"
    else:
        columns, table = "NULL AS why, seen", f"quarantine WHERE state = '{state}' AND"
    return f"SELECT '{state}' AS state, seq, message, {columns} FROM {table} {where}"  # noqa: S608 - our names


def _receipt(seq: int, taken_us: int, blob: bytes, unsent: int, seen: int = 1) -> Receipt:
    """Return what is remembered of a row; one in quarantine goes nowhere."""
    message = unpack(blob)
    routing_key = "" if unsent else message.routing_key
    return Receipt(seq, message.id, routing_key, message.digest, taken_us, seen=seen)


class Salvage:
    """What can still be read of a damaged journal: each state is walked from both ends to the damage."""

    def __init__(self, journal: Path) -> None:
        self._connection = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
        self.damage: list[str] = []
        """What stood in the way."""

    def rows(self) -> Iterator[Row]:
        """Yield what can be read, state by state."""
        for state in State:
            seen: set[int] = set()
            for direction in ("ASC", "DESC"):
                for row in self._walk(state, f"{_listed(state)} ORDER BY seq {direction}"):
                    if row.seq not in seen:
                        seen.add(row.seq)
                        yield row

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def _walk(self, state: State, statement: str) -> Iterator[Row]:
        """Yield rows from one end to the damage."""
        try:
            for row in self._connection.execute(statement, (0,)):
                if (understood := self._understood(row)) is not None:
                    yield understood
        except sqlite3.Error as error:
            self.damage.append(f"{state}: {error}")

    def _understood(self, row: Stored) -> Row | None:
        try:
            return Row.of(row, with_body=True)
        except sqlite3.DatabaseError as error:
            self.damage.append(f"{row[0]}, seq {row[1]}: {error}")
            return None
