"""What operators see of the journal and do to it; each deed is one transaction."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tms_bridge.errors import InvalidQuery, RowBusy, RowMissing
from tms_bridge.message import Kind, Message
from tms_bridge.outbox.group_commit import GroupCommit, Writer
from tms_bridge.outbox.queries import Kept
from tms_bridge.outbox.retries import Window
from tms_bridge.outbox.rows import Appended, Imported, State
from tms_bridge.outbox.store import Store
from tms_bridge.outbox.tail import Tail

OUTBOX = (State.PENDING, State.REFUSED)
QUARANTINE = (State.UNDECODABLE, State.HELD)
MAX_SEQ: Final = (1 << 63) - 1
"""What SQLite can hold."""

ROW_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}(?![\s\S])"
"""An id that can be given to a command and put into a path; `$` would let a line's end pass."""

_LAST_MOMENT_US: Final = 253_402_300_799_999_999
"""The end of the year 9999."""

_PAGE = 500


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an export: a row with all its parts named, `body` in Base64; `why` it was refused."""

    state: State
    seq: Annotated[int, Meta(ge=0, le=MAX_SEQ)]
    why: str
    seen: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    id: Annotated[str, Meta(pattern=ROW_ID)]
    kind: Kind
    source: str
    trigger: str
    status: str
    routing_key: Annotated[str, Meta(max_length=255)]
    entity: str
    received_at_us: Annotated[int, Meta(ge=0, le=_LAST_MOMENT_US)]
    digest: str
    traceparent: str
    replayed: bool
    reason: str
    body: bytes


_KINDS: Final = {State.HELD: Kind.EVENT, State.UNDECODABLE: Kind.QUARANTINE}
_MESSAGE_FIELDS = Message.__struct_fields__
_decoder = msgspec.json.Decoder(Exported)


class Records:
    """The rows, behind the journal that runs or one that was opened for this."""

    def __init__(
        self,
        writer: Writer,
        tail: Tail,
        group: GroupCommit,
        cases: Window,
        max_bytes: int,
    ) -> None:
        self._writer = writer
        self._tail = tail
        self._leaving = group.leaving
        self._cases = cases
        self._max_bytes = max_bytes
        self.in_flight: Callable[[int], bool] = _nothing
        """Whether the relay has this seq in its hands; set by whoever starts a relay."""

    async def kept(self, state: State, after: int = 0, limit: int = _PAGE) -> list[Kept]:
        """Return up to `limit` rows of a state whose seq is above `after`, in order."""
        return await self._writer.call(lambda store: store.queries.kept(state, after, limit))

    async def show(self, row_id: str, states: Iterable[State]) -> Kept:
        """Return the row of this id, searched in these states.

        Raises:
            RowMissing: there is none.
            InvalidQuery: nothing could have this id.
        """
        if re.match(ROW_ID, row_id) is None:
            raise InvalidQuery("that is no id: an id is 64 letters, digits, dots, colons and dashes at most")
        found = await self._writer.call(lambda store: store.queries.find(row_id, states))
        if found is None:
            raise RowMissing(f"nothing here has the id {row_id}")
        return found

    async def retry(self, event_id: str) -> Kept:
        """Send a refused event again, from the tail.

        Raises:
            RowMissing: nothing refused has this id.
            RowBusy: it is pending, so it will be sent anyway.
        """
        row = await self.show(event_id, (State.REFUSED, State.PENDING))
        if row.state is State.PENDING:
            raise RowBusy(f"{event_id} is pending: it is on its way already")
        await self._append(lambda store: store.states.retry(event_id))
        return row

    async def release(self, event_id: str) -> Kept:
        """Send a held event, from the tail.

        Raises:
            RowMissing: nothing held has this id.
        """
        row = await self.show(event_id, (State.HELD,))
        await self._append(lambda store: store.states.release(event_id))
        return row

    async def replay(self, quarantine_id: str, message: Message) -> None:
        """Send the event that an undecodable body turned out to be, in place of the body.

        Raises:
            RowMissing: nothing undecodable has this id.
        """
        row = await self.show(quarantine_id, (State.UNDECODABLE,))
        await self._append(lambda store: store.states.replay(quarantine_id, message))
        self._cases.forget(row.message.digest)

    async def drop(self, event_id: str) -> Kept:
        """Forget an event, pending or refused, for good.

        Raises:
            RowMissing: nothing in the outbox has this id.
            RowBusy: it is in flight to the broker.
        """
        row = await self.show(event_id, OUTBOX)
        if row.state is State.PENDING:
            await self._drop_pending(row.seq)
        else:
            await self._writer.call(lambda store: store.states.drop_refused(event_id))
        return row

    async def drop_quarantined(self, quarantine_id: str) -> Kept:
        """Forget a quarantined body, undecodable or held, for good.

        Raises:
            RowMissing: nothing in quarantine has this id.
        """
        row = await self.show(quarantine_id, QUARANTINE)
        dropped = await self._writer.call(lambda store: store.states.drop_quarantined(quarantine_id))
        self._cases.forget(dropped.digest)
        return row

    async def export(self, states: Iterable[State]) -> AsyncIterator[bytes]:
        """Yield every row of these states as a line of JSON."""
        for state in states:
            after = 0
            while rows := await self.kept(state, after):
                for row in rows:
                    yield msgspec.json.encode(exported(row)) + b"\n"
                after = rows[-1].seq

    async def import_lines(self, lines: Iterable[bytes], first: int = 1) -> tuple[int, int]:
        """Append the rows of an export whose ids are not here; return how many came, and how many were here.

        Each row goes to the state that it was exported from, the pending ones to the tail.

        Args:
            lines: the lines; blank ones are passed over.
            first: the number of the first one.

        Raises:
            InvalidQuery: a line is none of an export; those of earlier pages are in.
            Unavailable: the outbox is full.
        """
        remaining = (_imported(line, number) for number, line in enumerate(lines, first) if line.strip())
        came = offered = 0
        while page := list(islice(remaining, _PAGE)):
            offered += len(page)
            came += await self._append_page(page)
        return came, offered - came

    async def _append_page(self, page: Sequence[Imported]) -> int:
        appended = await self._writer.call(
            lambda store: store.states.append(page, self._max_bytes), self._hand_over
        )
        return appended.rows

    async def _append(self, work: Callable[[Store], Appended]) -> None:
        await self._writer.call(work, self._hand_over)

    def _hand_over(self, appended: Appended) -> None:
        for entry in appended.pending:
            self._tail.append(entry)

    async def _drop_pending(self, seq: int) -> None:
        if seq in self._leaving or self.in_flight(seq):
            raise RowBusy(
                f"the event with seq {seq} is in flight to the broker; try again when it has settled"
            )
        self._leaving.add(seq)  # from here on the relay is not given it
        try:
            await self._writer.call(lambda store: store.states.drop(seq), lambda _: self._tail.remove(seq))
        finally:
            self._leaving.discard(seq)


def _nothing(_seq: int) -> bool:
    """No relay runs, so nothing is in flight."""
    return False


def exported(row: Kept) -> Exported:
    """Return a row as a line of an export, and the admin API, shows it."""
    named = {name: getattr(row.message, name) for name in _MESSAGE_FIELDS}
    return Exported(state=row.state, seq=row.seq, why=row.reason, seen=row.seen, **named)


def _imported(line: bytes, number: int) -> Imported:
    try:
        row = _decoder.decode(line)
        wrong = "" if row.kind is _KINDS.get(row.state, row.kind) else f"what is {row.state} is no {row.kind}"
    except (ValueError, RecursionError) as error:
        row, wrong = None, str(error)
    if row is None or wrong:
        raise InvalidQuery(
            f"line {number} is not a line of an export: {wrong}. Mend or remove it and import again: "
            "what is here already is left alone"
        )
    message = Message(**{name: getattr(row, name) for name in _MESSAGE_FIELDS})
    return Imported(message, row.state, row.why, row.seen)
