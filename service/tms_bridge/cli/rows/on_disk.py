"""The rows of a bridge that is stopped: the directory, opened for the command alone."""

from collections.abc import AsyncIterator, Iterable, Mapping

import msgspec

from tms_bridge.cli.rows.interface import Row, Status
from tms_bridge.errors import Undecodable
from tms_bridge.ingest import Arrival, rules_of, understand
from tms_bridge.message import Message
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.queries import Kept
from tms_bridge.outbox.records import QUARANTINE
from tms_bridge.outbox.rows import State
from tms_bridge.settings.model import Source
from tms_events import Trigger


class OnDisk:
    """`Rows` of an open journal."""

    def __init__(self, journal: Journal, sources: Mapping[str, Source]) -> None:
        self._journal = journal
        self._records = journal.records
        self._sources = sources

    async def status(self) -> Status:
        """Return the numbers."""
        return Status.of(self._journal.stats())

    async def listed(self, state: State, after: int, limit: int) -> list[Row]:
        """Return up to `limit` rows of a state whose seq is above `after`, in order."""
        return [row_of(kept) for kept in await self._records.kept(state, after, limit)]

    async def shown(self, row_id: str, states: Iterable[State]) -> Row:
        """Return the row of this id."""
        return row_of(await self._records.show(row_id, states))

    async def retry(self, event_id: str) -> None:
        """Send a refused event again."""
        await self._records.retry(event_id)

    async def release(self, event_id: str) -> None:
        """Send a held event."""
        await self._records.release(event_id)

    async def replay(self, quarantine_id: str) -> None:
        """Read an undecodable body once more and send the event that it is now; release a held one."""
        kept = await self._records.show(quarantine_id, QUARANTINE)
        if kept.state is State.HELD:
            await self._records.release(quarantine_id)
        else:
            await self._records.replay(quarantine_id, self._understood(kept.message))

    def _understood(self, message: Message) -> Message:
        source = self._sources.get(message.source)
        if source is None:
            raise Undecodable(f'its source "{message.source}" is not configured any more')
        rules = rules_of(message.source, source)[Trigger(message.trigger)]
        arrival = Arrival(message.id, message.received_at_us, message.digest, message.traceparent)
        return understand(message.body, rules, arrival)

    async def drop(self, row_id: str, states: Iterable[State]) -> None:
        """Forget a row for good."""
        kept = await self._records.show(row_id, states)
        if kept.state in QUARANTINE:
            await self._records.drop_quarantined(row_id)
        else:
            await self._records.drop(row_id)

    def exported(self, states: Iterable[State]) -> AsyncIterator[bytes]:
        """Yield every row of these states as a line of JSON."""
        return self._records.export(states)

    async def imported(self, lines: Iterable[bytes]) -> tuple[int, int]:
        """Append exported rows."""
        return await self._records.import_lines(lines)


def row_of(kept: Kept) -> Row:
    """Return a row as the commands show it."""
    message = msgspec.structs.asdict(kept.message)
    fields = {name: message[name] for name in Row.__struct_fields__ if name in message}
    return Row(state=kept.state, seq=kept.seq, why=kept.reason, seen=kept.seen, **fields)
