"""What can still be read of a damaged journal, as the lines of an export.

Run as `python -m tms_bridge.outbox.salvage FILE > rows.jsonl` on a journal that was moved aside, then import
the lines into a new outbox. Each table is walked from both ends to the damage. No row is changed.
"""

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tms_bridge.outbox.queries import Kept, listed
from tms_bridge.outbox.records import exported
from tms_bridge.outbox.rows import State

_EVERYTHING = -1
"""No limit, in SQL."""


class Salvage:
    """The readable rows of one file."""

    def __init__(self, journal: Path) -> None:
        self._connection = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
        self.damage: list[str] = []
        """What stood in the way."""

    def rows(self) -> Iterator[Kept]:
        """Yield what can be read, table by table."""
        for state in State:
            seen: set[int] = set()
            for newest_first in (False, True):
                for row in self._walk(state, newest_first=newest_first):
                    if row.seq not in seen:
                        seen.add(row.seq)
                        yield row

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def _walk(self, state: State, *, newest_first: bool) -> Iterator[Kept]:
        """Yield rows from one end to the damage."""
        try:
            for row in self._connection.execute(listed(state, newest_first=newest_first), (0, _EVERYTHING)):
                if (kept := self._understood(state, row)) is not None:
                    yield kept
        except sqlite3.Error as error:
            self.damage.append(f"{state}: {error}")

    def _understood(self, state: State, row: tuple[int, bytes, str | None, int]) -> Kept | None:
        try:
            return Kept.of(state, row)
        except sqlite3.DatabaseError as error:
            self.damage.append(f"{state}, seq {row[0]}: {error}")
            return None


def main(arguments: Sequence[str]) -> int:
    """Write the readable rows of a journal to standard output; exit 1 if something stood in the way."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        sys.stderr.write("usage: python -m tms_bridge.outbox.salvage FILE > rows.jsonl\n")
        return 2
    salvage = Salvage(Path(arguments[0]))
    written = [sys.stdout.buffer.write(msgspec.json.encode(exported(row)) + b"\n") for row in salvage.rows()]
    salvage.close()
    for damage in dict.fromkeys(salvage.damage):
        sys.stderr.write(f"{damage}\n")
    sys.stderr.write(f"{len(written)} rows read\n")
    return 1 if salvage.damage else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
