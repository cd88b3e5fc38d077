"""The rows of a bridge that runs, through its admin API."""

from collections.abc import AsyncIterator, Iterable
from urllib.parse import quote

import msgspec

from tms_bridge.cli.admin_api import AdminApi
from tms_bridge.cli.rows.interface import PAGE, Row, Status
from tms_bridge.errors import RowMissing
from tms_bridge.outbox.records import QUARANTINE
from tms_bridge.outbox.rows import State
from tms_bridge.outbox.stats import Stats


class BridgeStatus(msgspec.Struct):
    """What the commands read of `/api/v1/status`."""

    outbox: Stats


class Page(msgspec.Struct):
    """Rows as they stand in an export, in order."""

    rows: list[msgspec.Raw]


class Imported(msgspec.Struct):
    """How many rows came, and how many were there already."""

    imported: int
    already_here: int


class OverApi:
    """`Rows` behind the admin API."""

    def __init__(self, api: AdminApi) -> None:
        self._api = api

    async def status(self) -> Status:
        """Return the numbers."""
        return Status.of(self._api.ask("GET", "/api/v1/status", BridgeStatus).outbox)

    async def listed(self, state: State, after: int, limit: int) -> list[Row]:
        """Return up to `limit` rows of a state whose seq is above `after`, in order."""
        return [msgspec.json.decode(row, type=Row) for row in self._page(state, after, limit)]

    def _page(self, state: State, after: int, limit: int) -> list[msgspec.Raw]:
        path = f"{_collection(state)}?state={state}&after={after}&limit={limit}"
        return self._api.ask("GET", path, Page).rows

    async def shown(self, row_id: str, states: Iterable[State]) -> Row:
        """Return the row of this id."""
        wanted = tuple(states)
        row = self._api.ask("GET", f"{_collection(wanted[0])}/{_quoted(row_id)}", Row)
        if row.state not in wanted:
            raise RowMissing(f"{row_id} is {row.state}")
        return row

    async def retry(self, event_id: str) -> None:
        """Send a refused event again."""
        self._api.ask("POST", f"/api/v1/outbox/{_quoted(event_id)}/retry", msgspec.Raw)

    async def release(self, event_id: str) -> None:
        """Send a held event."""
        self._api.ask("POST", f"/api/v1/quarantine/{_quoted(event_id)}/release", msgspec.Raw)

    async def replay(self, quarantine_id: str) -> None:
        """Read an undecodable body once more and send the event that it is now; release a held one."""
        self._api.ask("POST", f"/api/v1/quarantine/{_quoted(quarantine_id)}/replay", msgspec.Raw)

    async def drop(self, row_id: str, states: Iterable[State]) -> None:
        """Forget a row for good."""
        self._api.ask("DELETE", f"{_collection(next(iter(states)))}/{_quoted(row_id)}", msgspec.Raw)

    async def exported(self, states: Iterable[State]) -> AsyncIterator[bytes]:
        """Yield every row of these states as a line of JSON."""
        for state in states:
            after = 0
            while page := self._page(state, after, PAGE):
                for row in page:
                    yield bytes(row) + b"\n"
                after = msgspec.json.decode(page[-1], type=Row).seq

    async def imported(self, lines: Iterable[bytes]) -> tuple[int, int]:
        """Append exported rows."""
        body = b"".join(lines)
        answer = self._api.ask("POST", "/api/v1/outbox", Imported, body)
        return answer.imported, answer.already_here


def _quoted(row_id: str) -> str:
    """Return an id as a path holds it, whatever bytes were typed for it."""
    return quote(row_id, safe="", errors="surrogateescape")


def _collection(state: State) -> str:
    return "/api/v1/quarantine" if state in QUARANTINE else "/api/v1/outbox"
