"""The inbox in PostgreSQL: DATABASE is its URL. The statements are those of SQLite."""

import os

import psycopg

import tms_events
from inbox import APPLY, ONCE, TABLES


class Inbox:
    """What was applied, and what came of it."""

    def __init__(self) -> None:
        self._url = os.environ["DATABASE"]
        with psycopg.connect(self._url) as transaction:
            for table in TABLES:
                transaction.execute(table)

    def apply(self, event: tms_events.Event) -> None:
        """Apply an event; its id and its effect are one transaction.

        Raises:
            psycopg.Error: nothing was applied; try again later.
        """
        with psycopg.connect(self._url) as transaction:
            if transaction.execute(ONCE.replace("?", "%s"), [event.id]).rowcount:
                members = [tms_events.entity_key(event), event.status, event.id]
                transaction.execute(APPLY.replace("?", "%s"), members)
