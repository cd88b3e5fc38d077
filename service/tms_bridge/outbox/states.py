"""The states of what the outbox keeps, their transitions, and the SQL that makes them.

Theory of operation. Everything that is kept has a `seq`, given inside the transaction that commits it, so
the order of seq is the order of commits, and a reader who has seen a seq has seen all before it. Each public
method that changes something is one transaction: it happens whole or not at all, and `totals` (one row, kept
in step here so that no start has to count) goes with it. When the method has returned, its effect is synced
to the disk. Only the writer thread calls. A failure leaves rows and totals as they were. A small batch of
nothing but new and settled events is one statement instead of six (`plain_batch`), with the same effect.

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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from tms_bridge.errors import RowMissing
from tms_bridge.message import Kind, Message
from tms_bridge.outbox import plain_batch
from tms_bridge.outbox.contract import OutboxEntry
from tms_bridge.outbox.rows import (
    Appended,
    Batch,
    Caps,
    NewRow,
    Row,
    Share,
    State,
    Totals,
    pack,
    pack_ledger,
    unpack,
    unpack_ledger,
)

# Each step of a statement gives the interpreter lock away and must win it back from a busy event loop, so a
# batch takes few statements: lists go in chunks of a power of two, whose statements stay prepared.
CHUNK = 256
_INSERT = "INSERT INTO pending (seq, taken_us, id, message) VALUES "
_FIND = "SELECT message FROM pending WHERE seq IN "
_DELETE = "DELETE FROM pending WHERE seq IN "
_NOBODY = 0
"""A seq that no row has; it fills a chunk up."""

_inserts = {1 << n: _INSERT + ", ".join(["(?, ?, ?, ?)"] * (1 << n)) for n in range(9)}
_marks = {1 << n: "(" + ", ".join("?" * (1 << n)) + ")" for n in range(9)}
_TOTALS = ", ".join(("last_seq", *Share.__struct_fields__, "ledger"))
_UPDATE_TOTALS = f"UPDATE totals SET ({_TOTALS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our names
_PAGE_OVERHEAD_BYTES = 32 * 1024
"""What a transaction writes besides its rows: interior pages, index leaves, the totals."""

_MAX_SIZES = 16_384


class States:
    """The journal's rows, behind one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        plain_batch.prepare(connection)
        self.totals = self._stored_totals()
        self._sizes: dict[int, tuple[str, int]] = {}
        """Whose the newest rows are and how large, by seq; of any other, the file is asked."""
        self.unsaved_bytes = 0
        """About how much the write-ahead log holds that no checkpoint has moved yet."""

    def write(self, batch: Batch) -> int:
        """Commit a batch; return the seq before that of its first new row."""
        before = self.totals.last_seq
        if (runs := plain_batch.runs_of(batch)) is not None:
            self._write_plain(batch, runs)
        else:
            self._write_mixed(batch)
        self._remember(before, batch.rows)
        return before

    def retry(self, event_id: str) -> Appended:
        """Move a refused event to the tail."""
        with self._transaction():
            return Appended(1, [self._append(self._take_refused(event_id))])

    def release(self, event_id: str, caps: Caps) -> Appended:
        """Move a held event to the tail."""
        with self._transaction(caps):
            return Appended(1, [self._append(self._take_quarantined(event_id, State.HELD))])

    def replay(self, quarantine_id: str, message: Message, caps: Caps) -> Appended:
        """Put the event that a quarantined body turned out to be at the tail, in place of the body."""
        with self._transaction(caps):
            self._take_quarantined(quarantine_id, State.UNDECODABLE)
            return Appended(1, [self._append(message)])

    def drop(self, seq: int) -> Message:
        """Forget a pending event, at an operator's word."""
        with self._transaction():
            row = self._execute("DELETE FROM pending WHERE seq = ? RETURNING message", seq).fetchone()
            if row is None:
                raise RowMissing(f"no pending event has seq {seq}: it has just been delivered")
            self._sizes.pop(seq, None)
            return self._leave(State.PENDING, row[0])

    def drop_refused(self, event_id: str) -> Message:
        """Forget a refused event, at an operator's word."""
        with self._transaction():
            return self._take_refused(event_id)

    def drop_quarantined(self, quarantine_id: str) -> Message:
        """Forget a quarantined body, undecodable or held, at an operator's word."""
        with self._transaction():
            return self._take_quarantined(quarantine_id, None)

    def append(self, rows: Sequence[Row], caps: Caps) -> Appended:
        """Append the rows of an export whose ids are not here yet."""
        with self._transaction(caps):
            added = [self._import(row) for row in rows if not self._holds(row)]
            return Appended(len(added), [entry for entry in added if entry is not None])

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
                self._delete_quarantined(seq)
        return len(seqs)

    def forget_receipts(self, since_us: int, now_us: int) -> None:
        """Sweep the receipts whose window is over, and those of an earlier boot's clock."""
        due = self._execute(
            "SELECT 1 FROM receipts WHERE taken_us < ? OR taken_us > ? LIMIT 1", since_us, now_us
        )
        if due.fetchall():
            with self._transaction():
                self._execute("DELETE FROM receipts WHERE taken_us < ? OR taken_us > ?", since_us, now_us)

    def _write_mixed(self, batch: Batch) -> None:
        with self._transaction():
            self._insert(batch.rows)
            self._settle(batch.settled)
            for seq, reason in batch.refused:
                self._refuse(seq, reason)
            self._note(batch)

    def _write_plain(self, batch: Batch, runs: Sequence[tuple[int, int]]) -> None:
        """Commit in one statement; nobody else writes, so what leaves can be measured before it."""
        came, gone = _by_source(map(_size_of, batch.rows)), self._measure(batch.settled)
        totals = self.totals.copy()
        totals.last_seq += len(batch.rows)
        _note_newest(totals, batch.rows)
        written = _PAGE_OVERHEAD_BYTES
        for sign, part in ((1, came), (-1, gone)):
            for source, (rows, size) in part.items():
                totals.add(State.PENDING, source, sign * rows, sign * size)
                written += size
        plain_batch.commit(self.connection, batch.rows, runs, totals)
        self.totals = totals
        self.unsaved_bytes += written

    def _remember(self, before: int, rows: Sequence[NewRow]) -> None:
        """Remember whose the rows after a seq are and how large; a backlog's are soon too many."""
        if len(self._sizes) > _MAX_SIZES:
            self._sizes.clear()
        self._sizes.update(enumerate(map(_size_of, rows), before + 1))

    def _measure(self, seqs: Sequence[int]) -> dict[str, list[int]]:
        """Return how many of these rows each source has, and their bytes."""
        try:
            return _by_source(map(self._sizes.pop, seqs))
        except KeyError:  # of an earlier run, or forgotten
            found = (
                row
                for chunk in _filled(seqs)
                for row in self.connection.execute(_FIND + _marks[len(chunk)], chunk)
            )
            return _by_source((unpack(blob).source, len(blob)) for (blob,) in found)

    @contextmanager
    def _transaction(self, caps: Caps | None = None) -> Iterator[None]:
        """Do it all, or nothing, totals included; nothing where that would go beyond a cap."""
        before = self.totals.copy()
        try:
            self._execute("BEGIN IMMEDIATE")
            yield
            if caps is not None:
                caps.check(before, self.totals)
            shares = msgspec.structs.astuple(self.totals.all)
            ledger = pack_ledger(self.totals.ledger)
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

    def _insert(self, rows: Sequence[NewRow]) -> None:
        """Give each new row its seq and its place."""
        bus: list[object] = []
        pending, held = State.PENDING, State.HELD  # Python 3.11 takes 0.2 µs to look one up
        for seq, row in enumerate(rows, self.totals.last_seq + 1):
            state = row.state
            if state is not held:
                bus += (seq, row.taken_us if state is pending else None, row.message.id, row.blob)
            if state is not pending:
                self._quarantine(seq, row.message, row.blob, row.taken_us, state)
        sizes = map(_size_of, (row for row in rows if row.state is not held))
        for source, (count, size) in _by_source(sizes).items():
            self._count(pending, source, count, size)
        self.totals.last_seq += len(rows)
        _note_newest(self.totals, rows)
        for start, length in _chunks(len(bus) // 4):
            self.connection.execute(_inserts[length], bus[start * 4 : (start + length) * 4])

    def _quarantine(  # noqa: PLR0913, PLR0917 - the columns
        self, seq: int, message: Message, blob: bytes, taken_us: int | None, state: State, seen: int = 1
    ) -> None:
        values = (seq, taken_us, message.id, blob, state, seen, message.received_at_us)
        self._execute("INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
        self._enter(state, message.source, blob)

    def _settle(self, seqs: Sequence[int]) -> None:
        for source, (rows, size) in self._measure(seqs).items():
            self._count(State.PENDING, source, -rows, -size)
        for chunk in _filled(seqs):
            self.connection.execute(_DELETE + _marks[len(chunk)], chunk)

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
        self._enter(State.REFUSED, source, blob)

    def _note(self, batch: Batch) -> None:
        """Keep what recognition has learnt."""
        for owed in batch.owed:
            self._execute(
                "INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?, ?)", *msgspec.structs.astuple(owed)
            )
        for seq, seen in batch.seen.items():
            self._execute("UPDATE quarantine SET seen = ? WHERE seq = ?", seen, seq)

    def _append(self, message: Message) -> OutboxEntry:
        """Put a message that was here before at the tail."""
        reason = "" if message.kind is Kind.EVENT else message.reason  # why it was held is of no more use
        again = msgspec.structs.replace(message, replayed=True, reason=reason)
        blob = pack(again)
        self.totals.last_seq += 1
        entry = OutboxEntry(self.totals.last_seq, again)
        self._execute(_inserts[1], entry.seq, None, again.id, blob)
        self._enter(State.PENDING, again.source, blob)
        return entry

    def _import(self, row: Row) -> OutboxEntry | None:
        if row.state is State.PENDING:
            return self._append(row.message)
        self.totals.last_seq += 1
        seq, blob = self.totals.last_seq, pack(row.message)
        if row.state is State.REFUSED:
            values = (seq, None, row.id, blob, row.why, time.time_ns() // 1000)
            self._execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)", *values)
            self._enter(State.REFUSED, row.source, blob)
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

    def _take_refused(self, event_id: str) -> Message:
        oldest = "SELECT seq FROM refused WHERE id = ? ORDER BY seq LIMIT 1"
        if (row := self._execute(oldest, event_id).fetchone()) is None:
            raise RowMissing(f"no refused event has the id {event_id}")
        gone = self._execute("DELETE FROM refused WHERE seq = ? RETURNING message", row[0])
        return self._leave(State.REFUSED, gone.fetchone()[0])

    def _take_quarantined(self, row_id: str, state: State | None) -> Message:
        """Take a row out of quarantine, if it is there in that state (any, if None)."""
        where = "SELECT seq FROM quarantine WHERE id = ? AND (? IS NULL OR state = ?) ORDER BY seq LIMIT 1"
        row = self._execute(where, row_id, state, state).fetchone()
        if row is None:
            raise RowMissing(f"nothing {state or 'in quarantine'} has the id {row_id}")
        return self._delete_quarantined(row[0])

    def _delete_quarantined(self, seq: int) -> Message:
        gone = self._execute("DELETE FROM quarantine WHERE seq = ? RETURNING state, message", seq)
        state, blob = gone.fetchone()
        return self._leave(State(state), blob)

    def _enter(self, state: State, source: str, blob: bytes) -> None:
        self._count(state, source, 1, len(blob))

    def _leave(self, state: State, blob: bytes) -> Message:
        message = unpack(blob)
        self._count(state, message.source, -1, -len(blob))
        return message

    def _count(self, state: State, source: str, rows: int, size: int) -> None:
        self.totals.add(state, source, rows, size)
        self.unsaved_bytes += abs(size)

    def _stored_totals(self) -> Totals:
        row = self._execute(f"SELECT {_TOTALS} FROM totals").fetchone()  # noqa: S608 - our own names
        return Totals(row[0], Share(*row[1:-1]), unpack_ledger(row[-1]))


def _size_of(row: NewRow) -> tuple[str, int]:
    return row.message.source, len(row.blob)


def _by_source(sizes: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Return how many rows of each source there are, and their bytes."""
    found: dict[str, list[int]] = {}
    for source, size in sizes:
        share = found.setdefault(source, [0, 0])
        share[0] += 1
        share[1] += size
    return found


def _note_newest(totals: Totals, rows: Sequence[NewRow]) -> None:
    for row in rows:
        totals.ledger.newest_us = max(totals.ledger.newest_us, row.message.received_at_us)


def _chunks(length: int) -> Iterator[tuple[int, int]]:
    """Cut a length into starts and sizes that are powers of two, at most CHUNK."""
    start = 0
    while start < length:
        size = min(CHUNK, 1 << ((length - start).bit_length() - 1))
        yield start, size
        start += size


def _filled(seqs: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut seqs into chunks of a power of two, the last one filled up."""
    for start in range(0, len(seqs), CHUNK):
        chunk = seqs[start : start + CHUNK]
        size = 1 << (len(chunk) - 1).bit_length()
        yield [*chunk, *[_NOBODY] * (size - len(chunk))]
