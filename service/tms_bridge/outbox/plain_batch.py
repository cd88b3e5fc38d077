"""One statement for a plain batch: new events, and the seqs that the broker has.

Each statement gives the interpreter lock away several times and must win it back from a busy event loop. So
what nearly every batch is made of goes to SQLite as the rows of a single INSERT. They go into a view of this
connection's own, whose triggers do what each row says; nothing of it is in the file. One statement outside a
transaction is a transaction: all of it happens, or nothing.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from tms_bridge.outbox.rows import Batch, NewRow, State, Totals, pack_ledger

MAX_ROWS: Final = 16
MAX_BYTES: Final = 1 << 20
"""SQLite copies the rows of such a statement once more than those of a plain INSERT."""

MAX_RUNS: Final = 16

_SETUP: Final = """
PRAGMA temp_store = MEMORY;
CREATE TEMP VIEW batch AS SELECT NULL AS does, NULL AS a, NULL AS b, NULL AS c, NULL AS d;
CREATE TEMP TRIGGER batch_enters INSTEAD OF INSERT ON batch WHEN new.does = 1 BEGIN
    INSERT INTO pending VALUES (new.a, new.b, new.c, new.d);
END;
CREATE TEMP TRIGGER batch_leaves INSTEAD OF INSERT ON batch WHEN new.does = 2 BEGIN
    DELETE FROM pending WHERE seq BETWEEN new.a AND new.b;
END;
CREATE TEMP TRIGGER batch_totals INSTEAD OF INSERT ON batch WHEN new.does = 3 BEGIN
    UPDATE totals SET last_seq = new.a, pending_rows = new.b, pending_bytes = new.c, ledger = new.d;
END;
"""
_ENTERS, _LEAVES, _TOTALS = 1, 2, 3
_NOTHING: Final = (0, None, None, None, None)


_INSERT: Final = "INSERT INTO batch VALUES "
_EXACT = 8


def _length(rows: int) -> int:
    """Round up, so that few statements need to stay prepared; but not the short ones, where it would show."""
    return rows if rows <= _EXACT else -(-rows // 8) * 8


_statements: Final = {
    size: _INSERT + ", ".join(["(?, ?, ?, ?, ?)"] * size)
    for size in map(_length, range(1, MAX_ROWS + MAX_RUNS + 2))
}


def prepare(connection: sqlite3.Connection) -> None:
    """Make the view and its triggers."""
    connection.executescript(_SETUP)


def runs_of(batch: Batch) -> list[tuple[int, int]] | None:
    """Return what leaves as runs of seqs, first and last, if the batch is plain; None if it is not."""
    if batch.refused or batch.owed or batch.seen or len(batch.rows) > MAX_ROWS:
        return None
    pending = State.PENDING
    if any(row.state is not pending for row in batch.rows):
        return None
    runs = list(_runs(sorted(batch.settled)))
    small = sum(len(row.blob) for row in batch.rows) <= MAX_BYTES
    return runs if small and len(runs) <= MAX_RUNS else None


def commit(
    connection: sqlite3.Connection, rows: Sequence[NewRow], runs: Sequence[tuple[int, int]], totals: Totals
) -> None:
    """Write it: rows up to seq `totals.last_seq`, less the runs, and what the totals are then."""
    values: list[object] = []
    for seq, row in enumerate(rows, totals.last_seq - len(rows) + 1):
        values += (_ENTERS, seq, row.taken_us, row.message.id, row.blob)
    for first, last in runs:
        values += (_LEAVES, first, last, None, None)
    everything, ledger = totals.all, pack_ledger(totals.ledger)
    values += (_TOTALS, totals.last_seq, everything.pending_rows, everything.pending_bytes, ledger)
    needed = len(rows) + len(runs) + 1
    size = _length(needed)
    values += _NOTHING * (size - needed)
    connection.execute(_statements[size], values)


def _runs(seqs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Join neighbours."""
    if not seqs:
        return
    first = last = seqs[0]
    for seq in seqs:
        if seq > last + 1:
            yield first, last
            first = seq
        last = seq
    yield first, last
