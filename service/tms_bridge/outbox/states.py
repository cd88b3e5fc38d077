"""The states of what the outbox keeps, their transitions, and the SQL that makes them.

Theory of operation. Everything that is kept has a `seq`, given inside the transaction that commits it, so
the order of seq is the order of commits, and a reader who has seen a seq has seen all before it. Each public
method that changes something is one transaction: it happens whole or not at all, and `totals` (one row, kept
in step here so that no start has to count) goes with it. When the method has returned, its effect is synced
to the disk. Only the writer thread calls. A failure leaves rows and totals as they were. Totals that were
once committed never change, so that others may keep them: a transaction counts on a copy.

A statement gives the interpreter lock away several times and must win it back from a busy event loop. So a
small batch of new and settled events goes to SQLite with its totals as the rows of a single INSERT into a
view, whose triggers do what each row says; one statement outside a transaction is a transaction. Measured at
one event a commit: 0.9 of the writer's thread. From some ten rows on it gains nothing, and at 33 a row that
goes through a trigger costs 1.3 of one that does not: larger batches have their rows inserted as such.

| state | in table | comes from | goes to |
| --- | --- | --- | --- |
| pending | pending | a new event, or the bus copy of an undecodable body | gone, by a broker's ack or drop |
| | | retry, release, replay, import | refused, when no retry can deliver it |
| refused | refused | pending, import | pending, by retry; gone, by drop |
| held | quarantine | a new event from an unlisted address, import | pending, by release; gone, by drop |
| undecodable | quarantine | a body that is no event, import | pending, by replay; gone, by drop or age |

What comes back to pending comes to the tail, under a new seq, with its old id and `received_at`. Held and
refused rows never grow too old, for they were answered 2xx. A row of `receipts` is no state: it remembers an
event that has left its seq while TMS may still retry it. `taken_us` is the monotonic clock at the first
receipt, and NULL where no retry is to be expected.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Final

import msgspec

from tms_bridge.errors import RowMissing
from tms_bridge.message import Kind, Message
from tms_bridge.outbox.contract import OutboxEntry
from tms_bridge.outbox.rows import (
    QUARANTINE,
    Batch,
    Caps,
    NewRow,
    Row,
    Share,
    State,
    Totals,
    pack,
    unpack,
    unpack_ledger,
)

_ENTERS, _LEAVES, _TOTALS = 1, 2, 3
_SETUP: Final = f"""
PRAGMA temp_store = MEMORY;
CREATE TEMP VIEW batch AS SELECT NULL AS does, NULL AS a, NULL AS b, NULL AS c, NULL AS d;
CREATE TEMP TRIGGER batch_enters INSTEAD OF INSERT ON batch WHEN new.does = {_ENTERS} BEGIN
    INSERT INTO pending VALUES (new.a, new.b, new.c, new.d);
END;
CREATE TEMP TRIGGER batch_leaves INSTEAD OF INSERT ON batch WHEN new.does = {_LEAVES} BEGIN
    DELETE FROM pending WHERE seq BETWEEN new.a AND new.b;
END;
CREATE TEMP TRIGGER batch_totals INSTEAD OF INSERT ON batch WHEN new.does = {_TOTALS} BEGIN
    UPDATE totals SET last_seq = new.a, pending_rows = new.b, pending_bytes = new.c, ledger = new.d;
END;
"""  # noqa: S608 - our own numbers
"""A view of this connection's own; nothing of it is in the file."""

Entering = tuple[int, int | None, str, bytes]
"""A row of the table `pending`: seq, taken_us, id, message."""

Sizes = dict[int, tuple[str, int]]
"""Whose rows of that table are and how large, by seq."""

MAX_ROWS, FEW_ROWS = 32, 12
MAX_BYTES: Final = 1 << 20
"""SQLite copies the rows of such a statement once more than those of a plain INSERT."""

_STEPS, _INSERTS = (
    [f"INSERT INTO {table} VALUES " + ", ".join([places] * rows) for rows in range(MAX_ROWS + 1)]  # noqa: S608 - as above
    for table, places in (("batch", "(?, ?, ?, ?, ?)"), ("pending", "(?, ?, ?, ?)"))
)
_TABLES = {state: "quarantine" if state in QUARANTINE else str(state) for state in State}
_AMONG = "FROM pending WHERE seq IN (SELECT value FROM json_each(?))"
_COLUMNS = ", ".join(("last_seq", *Share.__struct_fields__, "ledger"))
_UPDATE_TOTALS = f"UPDATE totals SET ({_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our names
_PAGE_OVERHEAD_BYTES = 32 * 1024
"""What a transaction writes besides its rows: interior pages, index leaves, the totals."""

_MAX_SIZES = 16_384


class States:
    """The journal's rows, behind one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.executescript(_SETUP)
        self.totals = self._stored_totals()
        self._sizes: Sizes = {}
        """Of the newest rows; of any other, the file is asked."""
        self.unsaved_bytes = 0
        """About how much the write-ahead log holds that no checkpoint has moved yet."""

    def write(self, batch: Batch) -> int:
        """Commit a batch; return the seq before that of its first new row."""
        before = self.totals.last_seq
        came, sizes = _entering(batch.rows, before)
        runs = [*_runs(sorted(batch.settled))]
        if _fits(batch, len(came) + len(runs), sizes):
            self._write_at_once(batch, came, runs, sizes)
        else:
            with self._transaction():
                self._count_in(self.totals, batch, sizes)
                for part in _parts(came):
                    self.connection.execute(_INSERTS[len(part)], [*chain(*part)])
                if batch.settled:
                    self._execute(f"DELETE {_AMONG}", msgspec.json.encode(batch.settled).decode())
                self._write_rest(batch, before)
        self._remember(sizes)
        return before

    def resend(
        self, state: State, seq: int, caps: Caps | None = None, event: Message | None = None
    ) -> OutboxEntry:
        """Move a row to the tail, as the event that it is, or that an undecodable body turned out to be."""
        with self._transaction(caps):
            stored = self._take(state, seq)
            return self._append(event or stored)

    def drop(self, state: State, seq: int) -> None:
        """Forget a row, at an operator's word."""
        with self._transaction():
            self._take(state, seq)

    def append(self, rows: Sequence[Row], caps: Caps) -> tuple[int, list[OutboxEntry]]:
        """Append the rows of an export whose ids are not here; return how many, and the relay's of them."""
        with self._transaction(caps):
            added = [self._import(row) for row in rows if not self._holds(row)]
            return len(added), [entry for entry in added if entry is not None]

    def expire(self, before_us: int, at_most: int) -> int:
        """Forget the undecodable bodies that were first seen before `before_us`; return how many went."""
        oldest = (
            "SELECT seq FROM quarantine WHERE state = 'undecodable' AND first_seen_us < ? "
            "ORDER BY first_seen_us LIMIT ?"
        )
        if not (seqs := self._execute(oldest, before_us, at_most).fetchall()):
            return 0
        with self._transaction():
            for (seq,) in seqs:
                self._take(State.UNDECODABLE, seq)
        return len(seqs)

    def forget_receipts(self, since_us: int, now_us: int) -> None:
        """Sweep the receipts whose window is over, and those of an earlier boot's clock."""
        due = self._execute(
            "SELECT 1 FROM receipts WHERE taken_us < ? OR taken_us > ? LIMIT 1", since_us, now_us
        )
        if due.fetchall():
            with self._transaction():
                self._execute("DELETE FROM receipts WHERE taken_us < ? OR taken_us > ?", since_us, now_us)

    def _write_at_once(
        self, batch: Batch, came: Sequence[Entering], runs: Sequence[tuple[int, int]], sizes: Sizes
    ) -> None:
        totals = self.totals.copy()
        self._count_in(totals, batch, sizes)
        stored, ledger = totals.all, pack(totals.ledger)
        values: list[object] = []
        for row in came:
            values += (_ENTERS, *row)
        for first, last in runs:
            values += (_LEAVES, first, last, None, None)
        values += (_TOTALS, totals.last_seq, stored.pending_rows, stored.pending_bytes, ledger)
        self.connection.execute(_STEPS[len(came) + len(runs) + 1], values)
        self.totals = totals
        self.unsaved_bytes += _PAGE_OVERHEAD_BYTES

    def _count_in(self, totals: Totals, batch: Batch, sizes: Sizes) -> None:
        """Let totals be those after a batch; what leaves is measured before it does."""
        moved: dict[str, list[int]] = {}
        for sign, part in ((1, sizes.values()), (-1, self._measure(batch.settled))):
            for source, size in part:
                share = moved.setdefault(source, [0, 0])
                share[0] += sign
                share[1] += sign * size
        for source, (rows, size) in moved.items():
            totals.add(State.PENDING, source, rows, size)
        totals.last_seq += len(batch.rows)
        for row in batch.rows:
            totals.ledger.newest_us = max(totals.ledger.newest_us, row.message.received_at_us)

    def _write_rest(self, batch: Batch, before: int) -> None:
        """Write what few batches have: rows in quarantine, refused events, what recognition has learnt."""
        pending = State.PENDING
        for seq, row in enumerate(batch.rows, before + 1):
            if row.state is not pending:
                self._quarantine(seq, row.message, row.blob, row.receipt.taken_us, row.state)
        for seq, reason in batch.refused:
            self._refuse(seq, reason)
        for owed in batch.owed:
            values = (owed.seq, owed.taken_us, owed.id, owed.routing_key, owed.digest)
            self._execute("INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?, ?)", *values)
        for seq, seen in batch.seen.items():
            self._execute("UPDATE quarantine SET seen = ? WHERE seq = ?", seen, seq)

    def _remember(self, sizes: Sizes) -> None:
        """Remember whose the newest rows are and how large; a backlog's are soon too many."""
        if len(self._sizes) > _MAX_SIZES:
            self._sizes.clear()
        self._sizes.update(sizes)
        self.unsaved_bytes += sum(size for _, size in sizes.values())

    def _measure(self, seqs: Sequence[int]) -> list[tuple[str, int]]:
        """Return whose these rows are, and how large."""
        try:
            return [*map(self._sizes.pop, seqs)]
        except KeyError:  # of an earlier run, or forgotten
            found = self._execute(f"SELECT message {_AMONG}", msgspec.json.encode(seqs).decode())
            return [(unpack(blob).source, len(blob)) for (blob,) in found]

    @contextmanager
    def _transaction(self, caps: Caps | None = None) -> Iterator[None]:
        """Do it all, or nothing, totals included; nothing where that would go beyond a cap."""
        before, self.totals = self.totals, self.totals.copy()
        try:
            self._execute("BEGIN IMMEDIATE")
            yield
            if caps is not None:
                caps.check(before, self.totals)
            shares, ledger = msgspec.structs.astuple(self.totals.all), pack(self.totals.ledger)
            self._execute(_UPDATE_TOTALS, self.totals.last_seq, *shares, ledger)
            self._execute("COMMIT")
        except BaseException:
            self.totals = before
            if self.connection.in_transaction:  # a full disk may have rolled it back already
                self._execute("ROLLBACK")
            raise
        self.unsaved_bytes += _PAGE_OVERHEAD_BYTES

    def _execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self.connection.execute(statement, values)

    def _quarantine(  # noqa: PLR0913, PLR0917 - the columns
        self, seq: int, message: Message, blob: bytes, taken_us: int | None, state: State, seen: int = 1
    ) -> None:
        values = (seq, taken_us, message.id, blob, state, seen, message.received_at_us)
        self._execute("INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
        self._count(state, message.source, 1, len(blob))

    def _refuse(self, seq: int, reason: str) -> None:
        found = self._execute("DELETE FROM pending WHERE seq = ? RETURNING taken_us, id, message", seq)
        if (row := found.fetchone()) is None:  # an operator dropped it in the meantime
            return
        self._sizes.pop(seq, None)
        taken_us, event_id, blob = row
        said = reason.encode(errors="backslashreplace").decode()  # a broker's words may be no UTF-8
        values = (seq, taken_us, event_id, blob, said, time.time_ns() // 1000)
        self._execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)", *values)
        source = self._leave(State.PENDING, blob).source
        self._count(State.REFUSED, source, 1, len(blob))

    def _append(self, message: Message) -> OutboxEntry:
        """Put a message that was here before at the tail."""
        reason = "" if message.kind is Kind.EVENT else message.reason  # why it was held is of no more use
        again = msgspec.structs.replace(message, replayed=True, reason=reason)
        blob = pack(again)
        self.totals.last_seq += 1
        entry = OutboxEntry(self.totals.last_seq, again)
        self._execute("INSERT INTO pending VALUES (?, NULL, ?, ?)", entry.seq, again.id, blob)
        self._count(State.PENDING, again.source, 1, len(blob))
        return entry

    def _import(self, row: Row) -> OutboxEntry | None:
        if row.state is State.PENDING:
            return self._append(row.message)
        self.totals.last_seq += 1
        seq, blob = self.totals.last_seq, pack(row.message)
        if row.state is State.REFUSED:
            values = (seq, None, row.id, blob, row.why, time.time_ns() // 1000)
            self._execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)", *values)
            self._count(State.REFUSED, row.source, 1, len(blob))
        else:
            self._quarantine(seq, row.message, blob, None, row.state, row.seen)
        return None

    def _holds(self, row: Row) -> bool:
        """Say whether a row is here already; an undecodable body and its bus copy share an id."""
        tables = ["quarantine"] if row.state is State.UNDECODABLE else ["pending", "refused"]
        if row.kind is Kind.EVENT:
            tables.append("quarantine")
        return any(
            self._execute(f"SELECT 1 FROM {table} WHERE id = ?", row.id).fetchone()  # noqa: S608 - our names
            for table in tables
        )

    def _take(self, state: State, seq: int) -> Message:
        """Take a row out of its state."""
        gone = f"DELETE FROM {_TABLES[state]} WHERE seq = ? RETURNING message"  # noqa: S608 - our own names
        if (row := self._execute(gone, seq).fetchone()) is None:
            raise RowMissing(f"the {state} row with seq {seq} has just gone: delivered, or taken by another")
        self._sizes.pop(seq, None)
        return self._leave(state, row[0])

    def _leave(self, state: State, blob: bytes) -> Message:
        message = unpack(blob)
        self._count(state, message.source, -1, -len(blob))
        return message

    def _count(self, state: State, source: str, rows: int, size: int) -> None:
        self.totals.add(state, source, rows, size)
        self.unsaved_bytes += abs(size)

    def _stored_totals(self) -> Totals:
        row = self._execute(f"SELECT {_COLUMNS} FROM totals").fetchone()  # noqa: S608 - our own names
        return Totals(row[0], Share(*row[1:-1]), unpack_ledger(row[-1]))


def _entering(rows: Sequence[NewRow], before: int) -> tuple[list[Entering], Sizes]:
    """Return what comes for the relay: events, and the bus copies of undecodable bodies; and its sizes."""
    pending, held = State.PENDING, State.HELD  # Python 3.11 takes 0.2 µs to look one up
    came: list[Entering] = []
    sizes: Sizes = {}
    for seq, row in enumerate(rows, before + 1):
        if row.state is not held:
            taken_us = row.receipt.taken_us if row.state is pending else None
            came.append((seq, taken_us, row.message.id, row.blob))
            sizes[seq] = row.message.source, len(row.blob)
    return came, sizes


def _fits(batch: Batch, steps: int, sizes: Sizes) -> bool:
    """Say whether one statement is to write a batch."""
    if batch.refused or batch.owed or batch.seen or steps > FEW_ROWS:
        return False
    pending = State.PENDING
    size = sum(size for _, size in sizes.values())
    return size <= MAX_BYTES and all(row.state is pending for row in batch.rows)


def _parts(rows: Sequence[Entering]) -> Iterator[Sequence[Entering]]:
    """Cut rows into those of one statement each."""
    start = size = 0
    for at, row in enumerate(rows):
        if at - start == MAX_ROWS or size > MAX_BYTES:
            yield rows[start:at]
            start, size = at, 0
        size += len(row[3])
    if rows:
        yield rows[start:]


def _runs(seqs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Join neighbours, so that what leaves in order leaves in one step."""
    if not seqs:
        return
    first = last = seqs[0]
    for seq in seqs:
        if seq > last + 1:
            yield first, last
            first = seq
        last = seq
    yield first, last
