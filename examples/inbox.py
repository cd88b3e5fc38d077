"""An inbox: applies each event once, however often it comes. PostgreSQL takes the same statements."""

import json
import os
import sqlite3

import tms_events

TABLES = (
    "CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS class (key TEXT PRIMARY KEY, status TEXT, changes INT, last TEXT)",
)
ONCE = "INSERT INTO inbox VALUES (?) ON CONFLICT DO NOTHING"
APPLY = """
INSERT INTO class VALUES (?, ?, 1, ?) ON CONFLICT (key) DO UPDATE SET
    changes = class.changes + 1,
    -- Ids rise with time: an older event that comes late is counted, and changes no status.
    status = CASE WHEN excluded.last > class.last THEN excluded.status ELSE class.status END,
    last = CASE WHEN excluded.last > class.last THEN excluded.last ELSE class.last END
RETURNING status
"""


class Inbox:
    """What was applied, and what came of it."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(
            os.environ.get("DATABASE", "crm.db"), timeout=1, check_same_thread=False
        )
        for table in TABLES:
            self._database.execute(table)

    def apply(self, event: tms_events.Event) -> None:
        """Apply an event; its id and its effect are one transaction.

        Raises:
            sqlite3.Error: nothing was applied; try again later.
        """
        with self._database as transaction:
            if not transaction.execute(ONCE, [event.id]).rowcount:
                return
            members = [tms_events.entity_key(event), event.status, event.id]
            [(state,)] = transaction.execute(APPLY, members).fetchall()
        tell(event, state)


def tell(event: tms_events.Event, state: str) -> None:
    """Say that an event was applied, before it is acknowledged; `tms-events torture` listens."""
    print(json.dumps({"handled": event.id, "state": state}), flush=True)
