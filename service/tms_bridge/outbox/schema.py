"""The journal's tables, and how a file that an older version wrote becomes one of now.

Each step to the next format is one transaction, made after a copy of the whole file was put aside. The copy
is taken away once the new file is proved: SQLite finds nothing wrong with it, and each table has as many rows
as the totals say. A newer format than ours is refused and left alone.
"""

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tms_bridge.errors import OutboxBroken
from tms_bridge.outbox.rows import Ledger, State, Totals, pack, unpack

APPLICATION_ID: Final = 0x544D5342
"""Marks the file as ours ("TMSB")."""

VERSION: Final = 2

SCHEMA: Final = """
CREATE TABLE journal (id TEXT NOT NULL);
CREATE TABLE totals (
    last_seq INTEGER NOT NULL,
    pending_rows INTEGER NOT NULL, pending_bytes INTEGER NOT NULL,
    refused_rows INTEGER NOT NULL, refused_bytes INTEGER NOT NULL,
    held_rows INTEGER NOT NULL, held_bytes INTEGER NOT NULL,
    undecodable_rows INTEGER NOT NULL, undecodable_bytes INTEGER NOT NULL,
    ledger BLOB NOT NULL
);
CREATE TABLE pending (seq INTEGER PRIMARY KEY, taken_us INTEGER, id TEXT NOT NULL, message BLOB NOT NULL);
CREATE INDEX pending_id ON pending (id);
CREATE TABLE refused (
    seq INTEGER PRIMARY KEY, taken_us INTEGER, id TEXT NOT NULL, message BLOB NOT NULL,
    reason TEXT NOT NULL, refused_at_us INTEGER NOT NULL
);
CREATE INDEX refused_id ON refused (id);
CREATE TABLE quarantine (
    seq INTEGER PRIMARY KEY, taken_us INTEGER, id TEXT NOT NULL, message BLOB NOT NULL,
    state TEXT NOT NULL, seen INTEGER NOT NULL, first_seen_us INTEGER NOT NULL
);
CREATE INDEX quarantine_id ON quarantine (id);
CREATE INDEX quarantine_age ON quarantine (state, first_seen_us);
CREATE INDEX quarantine_state ON quarantine (state);
CREATE TABLE receipts (
    seq INTEGER PRIMARY KEY, taken_us INTEGER NOT NULL, id TEXT NOT NULL, routing_key TEXT NOT NULL,
    digest TEXT NOT NULL
);
CREATE INDEX receipts_age ON receipts (taken_us);
INSERT INTO totals VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0, x'920080');
"""

_COUNTS: Final = {
    "pending": ("pending_rows", ""),
    "refused": ("refused_rows", ""),
    "held": ("held_rows", "quarantine WHERE state = 'held'"),
    "undecodable": ("undecodable_rows", "quarantine WHERE state = 'undecodable'"),
}


def ensure(connection: sqlite3.Connection, journal: Path) -> None:
    """Make the tables in an empty file, bring those of an older one up to now, refuse any other.

    Raises:
        OutboxBroken: it is another program's, or a newer version's; or the copy before a step cannot be made.
    """
    if not _number(connection, "SELECT count(*) FROM sqlite_master"):
        _create(connection)
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    if application != APPLICATION_ID or version < 1:
        raise OutboxBroken(
            f"{journal} is not a journal of tms-bridge (application {application:#x}, format {version}); "
            "give outbox.dir another directory"
        )
    if version > VERSION:
        raise OutboxBroken(
            f"{journal} was written by a newer version of tms-bridge: its format is {version}, and this "
            f"version knows up to {VERSION}. Run the newer version, or export with it and import here"
        )
    _migrate(connection, journal, version)
    for table in ("journal", "totals"):
        if (rows := _number(connection, f"SELECT count(*) FROM {table}")) != 1:  # noqa: S608 - our own names
            raise sqlite3.DatabaseError(f"its table {table} has {rows} rows, not one")


def copy_of(journal: Path, version: int) -> Path:
    """Return where the copy of a file of this format is put aside."""
    return journal.with_name(f"{journal.name}.format-{version}")


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript("BEGIN IMMEDIATE;" + SCHEMA)
    connection.execute("INSERT INTO journal VALUES (?)", (str(uuid.uuid4()),))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, journal: Path, version: int) -> None:
    """Take the steps that are missing, and prove what came of them; a kill at any moment only repeats it."""
    for step in range(version, VERSION):
        _put_aside(connection, copy_of(journal, step))
        connection.execute("BEGIN IMMEDIATE")
        try:
            _STEPS[step](connection)
            connection.execute(f"PRAGMA user_version = {step + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    copies = [copy for step in range(1, VERSION) if (copy := copy_of(journal, step)).exists()]
    if copies:
        _prove(connection, copies[0])
        for copy in copies:
            copy.unlink()


def _put_aside(connection: sqlite3.Connection, copy: Path) -> None:
    """Copy the file as it is, log and all; through SQLite, since to open it here would drop its locks."""
    try:
        copy.unlink(missing_ok=True)
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        target = sqlite3.connect(copy)
        try:
            connection.backup(target)
        finally:
            target.close()
        descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(descriptor)
        os.close(descriptor)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            copy.unlink()
        raise OutboxBroken(
            f"the outbox is of an older version, and before it is brought up to now a copy is put aside at "
            f"{copy}, which failed: {error}. The outbox is as it was; make room for the copy and start again"
        ) from error


def _prove(connection: sqlite3.Connection, copy: Path) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchall()
    for state, (column, rows) in _COUNTS.items():
        said = _number(connection, f"SELECT {column} FROM totals")  # noqa: S608 - our own names
        if (there := _number(connection, f"SELECT count(*) FROM {rows or state}")) != said:  # noqa: S608 - as above
            found = [(f"{there} rows are {state}, and {said} should be",)]
    if found != [("ok",)]:
        raise sqlite3.DatabaseError(
            f"what an older version wrote could not be brought up to now ({found[0][0]}); the file as it was "
            f"is {copy}"
        )


def _tell_sources_apart(connection: sqlite3.Connection) -> None:
    """1 to 2: what each source has, when the newest body was received, and an index for lists of a state."""
    totals = Totals()
    for state, message in _messages(connection):
        totals.add(state, message[0], 1, message[1])
        totals.ledger.newest_us = max(totals.ledger.newest_us, message[2])
    # An import may have brought a moment that has not come yet; it is no floor for what is received.
    newest_us = min(totals.ledger.newest_us, time.time_ns() // 1000)
    connection.execute("ALTER TABLE totals ADD COLUMN ledger BLOB NOT NULL DEFAULT x''")
    ledger = pack(Ledger(newest_us, totals.ledger.shares))
    connection.execute("UPDATE totals SET ledger = ?", (ledger,))
    connection.execute("CREATE INDEX quarantine_state ON quarantine (state)")


def _messages(connection: sqlite3.Connection) -> Iterator[tuple[State, tuple[str, int, int]]]:
    """Yield of each row its state, its source, how large it is, and when its body was received."""
    tables = {"pending": "'pending'", "refused": "'refused'", "quarantine": "state"}
    for table, column in tables.items():
        for state, blob in connection.execute(f"SELECT {column}, message FROM {table}"):  # noqa: S608 - our names
            message = unpack(blob)
            yield State(state), (message.source, len(blob), message.received_at_us)


_STEPS: Final[dict[int, Callable[[sqlite3.Connection], None]]] = {1: _tell_sources_apart}
"""What makes of each format the next one."""


def _number(connection: sqlite3.Connection, statement: str) -> int:
    ((number,),) = connection.execute(statement).fetchall()
    return int(number)
