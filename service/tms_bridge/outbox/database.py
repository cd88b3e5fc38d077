"""The journal's file as the writer thread sees it: opened with care, looked after between batches."""

import ctypes
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from tms_bridge.errors import BridgeError, OutboxBroken, OutboxLocked, Unavailable
from tms_bridge.outbox.files import NO_DESCRIPTOR, Directory, Space
from tms_bridge.outbox.queries import Queries
from tms_bridge.outbox.retries import Clock, microseconds
from tms_bridge.outbox.rows import Batch, Stats, Totals
from tms_bridge.outbox.schema import ensure
from tms_bridge.outbox.states import States

T = TypeVar("T")

_BROKEN = (sqlite3.DatabaseError, OSError)
_ARGUMENTS = (sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.NotSupportedError)
"""Of the database's errors, those that blame a call and what it was given."""

CHECKPOINT_BYTES = 4 << 20
"""A checkpoint of this much takes a few milliseconds, and comes after the waiters have been told."""

LARGE_ROW_BYTES = 16 << 10
LARGE_CHECKPOINT_BYTES = 32 << 20
"""Where large rows leave soon, the next are written over them, and a late checkpoint copies only the last."""

CACHE_KIB = 8 << 10
"""So much of the file stays in memory, so that a large row is not read again to be deleted."""

DURABILITY = (("journal_mode", "WAL", "wal"), ("synchronous", "FULL", 2))
"""What is set, and what SQLite must say when it is read back."""

LOG_LIMIT_BYTES = 64 << 20
_VACUUM_PAGES = 256
_KEEP_FREE_PAGES = 4096
"""16 MiB of free pages stay in the file for the next burst."""

_EXPIRE_ROWS = 256


class Snapshot(msgspec.Struct, frozen=True):
    """How the journal stands, as of a commit or the last look at the disk."""

    totals: Totals
    event_bytes: int
    free_bytes: int
    full: str
    oldest_us: int | None

    def stats(self, unavailable: str) -> Stats:
        """Return it in numbers; `unavailable` says why new events are refused."""
        everything = self.totals.all
        return Stats(
            events=everything.pending_rows,
            bytes=self.event_bytes,
            oldest_us=self.oldest_us if everything.pending_rows else None,
            refused=everything.refused_rows,
            held=everything.held_rows,
            held_bytes=everything.held_bytes,
            undecodable=everything.undecodable_rows,
            undecodable_bytes=everything.undecodable_bytes,
            last_seq=self.totals.last_seq,
            free_bytes=self.free_bytes,
            unavailable=unavailable,
            sources=self.totals.ledger.shares,
        )


class Committed(msgspec.Struct, frozen=True):
    """What became of a batch.

    Attributes:
        before: the seq before that of the first new row; None if the disk was too full for new rows.
        departed: false if not even the departures could be written; they must be given again.
    """

    before: int | None
    departed: bool
    duration_s: float
    snapshot: Snapshot


class Ages(msgspec.Struct, frozen=True):
    """How old things may grow.

    Attributes:
        window_us: how long a receipt is of use, by the monotonic clock.
        undecodable_us: how long an undecodable body is kept, by the wall clock.
        clock: the monotonic one.
    """

    window_us: int
    undecodable_us: int
    clock: Clock


class Store:
    """One connection to one journal."""

    def __init__(self, connection: sqlite3.Connection, space: Space, ages: Ages) -> None:
        self._connection = connection
        self._space = space
        self._ages = ages
        self._oldest_us: int | None = None
        self._closed = False
        self.states = States(connection)
        self.queries = Queries(connection)

    @classmethod
    def open(cls, directory: Directory, space: Space, ages: Ages) -> "Store":
        """Open the journal of a directory, making it if there is none.

        Raises:
            OutboxBroken: the file is corrupt, not ours, or on a file system that cannot hold it.
        """
        directory.create_journal()
        try:
            connection = _connect(directory)
            try:
                store = cls(connection, space, ages)
                directory.sync()
                store.look()
            except BaseException:
                _never_close(connection)
                raise
        except BridgeError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise _unusable(directory, error) from error
        return store

    def identity(self) -> str:
        """Return what tells this journal from every other."""
        return str(self._connection.execute("SELECT id FROM journal").fetchone()[0])

    def snapshot(self) -> Snapshot:
        """Say how the journal stands."""
        totals = self.states.totals
        return Snapshot(totals, totals.all.event_bytes, self._space.free, self._space.full, self._oldest_us)

    def look_now(self) -> Snapshot:
        """Say how the journal stands, and how old its head is."""
        self._oldest_us = self.queries.oldest_us()
        return self.snapshot()

    def commit(self, batch: Batch) -> Committed:
        """Commit a batch; on a full disk at least its departures."""
        started = time.perf_counter()
        before: int | None = None
        departed = True
        try:
            before = self.states.write(batch)
        except sqlite3.OperationalError as error:
            self._raise_unless_full(error)
            departed = self._depart(batch)
        return Committed(before, departed, time.perf_counter() - started, self.snapshot())

    def do(self, work: Callable[["Store"], T]) -> T:
        """Do an operator's work, giving up the ballast if the disk is full.

        Raises:
            Unavailable: the disk is full even so.
        """
        for _ in range(2):
            try:
                return work(self)
            except sqlite3.OperationalError as error:
                self._raise_unless_full(error)
                self._space.run_out()
        raise Unavailable(self._space.full)

    def rest(self) -> None:
        """Between batches: checkpoint once enough has gathered, sooner when the disk is full."""
        if self._closed:
            return
        if self.states.unsaved_bytes >= self._due_bytes():
            self._checkpoint("PASSIVE")

    def _due_bytes(self) -> int:
        """Return how long the log may grow."""
        if self._space.full and self._space.tight:
            return 1
        stored = self.states.totals.all
        if LARGE_ROW_BYTES * stored.pending_rows < stored.pending_bytes < LARGE_CHECKPOINT_BYTES:
            return LARGE_CHECKPOINT_BYTES
        return CHECKPOINT_BYTES

    def look(self) -> None:
        """About each second: the disk, what is too old, what can be given back."""
        if self._closed:  # the second was over between the last job and the thread's end
            return
        self._space.look(self.queries.reusable_bytes())
        self._oldest_us = self.queries.oldest_us()
        try:
            self._expire()
            self._shrink()
        except sqlite3.OperationalError as error:
            self._raise_unless_full(error)
            self._space.run_out()
        if self.states.unsaved_bytes:
            self._checkpoint("PASSIVE")

    def close(self) -> None:
        """Move all into the journal proper and close it."""
        self._checkpoint("TRUNCATE")
        self._closed = True
        self._connection.close()

    def leave_open(self) -> None:
        """See that it is never closed, unless it is closed already."""
        if not self._closed:
            _never_close(self._connection)

    def _depart(self, batch: Batch) -> bool:
        self._space.run_out()
        try:
            self.states.write(msgspec.structs.replace(batch, rows=[]))
        except sqlite3.OperationalError as error:
            self._raise_unless_full(error)
            return False
        return True

    def _raise_unless_full(self, error: sqlite3.OperationalError) -> None:
        """A full disk or quota is weather; every other failure is fatal."""
        code = error.sqlite_errorcode
        if code & 0xFF == sqlite3.SQLITE_FULL:
            return
        if code != sqlite3.SQLITE_IOERR_WRITE or not self._space.refuses_a_write():
            raise error

    def _checkpoint(self, mode: str) -> None:
        try:
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
            self.states.unsaved_bytes = 0
        except sqlite3.OperationalError as error:
            self._raise_unless_full(error)
            self._space.run_out()

    def _expire(self) -> None:
        """Forget what is too old; never a body that may still be counted as seen again."""
        oldest_us = max(self._ages.undecodable_us, self._ages.window_us)
        self.states.expire(time.time_ns() // 1000 - oldest_us, _EXPIRE_ROWS)
        now_us = microseconds(self._ages.clock())
        self.states.forget_receipts(now_us - self._ages.window_us, now_us)

    def _shrink(self) -> None:
        """Give a few free pages back to the file system, if there are many."""
        ((free,),) = self._connection.execute("PRAGMA freelist_count").fetchall()
        if free > _KEEP_FREE_PAGES:
            pages = min(_VACUUM_PAGES, free - _KEEP_FREE_PAGES)
            # `execute` would stop after the first page, since this pragma returns rows without columns.
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")
            self.states.unsaved_bytes += pages  # so that a checkpoint follows, which shortens the file


def _never_close(connection: sqlite3.Connection) -> None:
    """Keep a journal that broke as it is: to close it would write into it, and sync it again.

    Python closes what nobody refers to any more, at its own end too: one reference is never given back.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _connect(directory: Directory) -> sqlite3.Connection:
    """Connect, set what durability needs, read it back, and make the tables if there are none."""
    connection = sqlite3.connect(directory.journal, isolation_level=None, cached_statements=128, timeout=1)
    try:
        _configure(connection)
        ensure(connection, directory.journal)
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(connection: sqlite3.Connection) -> None:
    # First of all: what reads the file before it makes a shared-memory file, which a full disk would break.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect when the file is made
    for pragma, value, expected in DURABILITY:
        connection.execute(f"PRAGMA {pragma} = {value}")
        ((actual,),) = connection.execute(f"PRAGMA {pragma}").fetchall()
        if actual != expected:
            raise OutboxBroken(
                f"SQLite did not take {pragma} = {value} (it says {actual}); is this a local disk?"
            )
    connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # inside a commit it would keep the waiters waiting
    # Debian builds SQLite to overwrite each page that is freed, which is a third of what a commit writes.
    connection.execute("PRAGMA secure_delete = OFF")


def is_fatal(error: Exception) -> bool:
    """Say whether the database or its disk is to blame; anything else fails one call alone."""
    later = isinstance(error, OSError) and error.errno in NO_DESCRIPTOR
    return isinstance(error, _BROKEN) and not isinstance(error, _ARGUMENTS) and not later


def _unusable(directory: Directory, error: Exception) -> OutboxBroken | OutboxLocked:
    if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
        return OutboxLocked(f"another program has {directory.journal} open; close it and start again")
    return OutboxBroken(
        f"{directory.journal} cannot be used: {error}. It is left as it is. If it is corrupt, move the whole "
        f"directory {directory.path} aside, start with an empty one, and get what can still be read with "
        "`tms-bridge outbox salvage outbox.db`"
    )
