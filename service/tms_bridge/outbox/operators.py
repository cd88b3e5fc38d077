"""What an operator sees of the rows and does to them; one set of verbs, under admin API and commands alike.

| verb | takes | which becomes | of another row it says |
| --- | --- | --- | --- |
| retry | a refused event | pending, at the tail | pending: on its way; in quarantine: the verb for that |
| release | a held event | pending, at the tail | undecodable: replay reads it once more |
| replay | an undecodable body | the pending event that it is by now | held: it is released, and told so |
| drop | any row but one in flight | gone for good | |
| import | a line of an export | as it was, the pending ones at the tail | here already: left alone |

What goes to the tail keeps its id and `received_at` and says that it was replayed. Each deed is one
transaction with the row that it takes; one whose transaction fails has not happened.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from tms_bridge.errors import InvalidQuery, RowBusy, RowMissing, RowUnfit, Undecodable
from tms_bridge.message import Kind, Message
from tms_bridge.outbox.group_commit import GroupCommit, Writer
from tms_bridge.outbox.memory import Tail
from tms_bridge.outbox.queries import PAGE_BYTES
from tms_bridge.outbox.retries import RetryWindow
from tms_bridge.outbox.rows import OUTBOX, QUARANTINE, ROW_ID, Caps, Row, State, Stats

PAGE_ROWS: Final = 500
"""A page has so many rows or PAGE_BYTES, whatever comes first."""

_KINDS: Final = {State.HELD: Kind.EVENT, State.UNDECODABLE: Kind.QUARANTINE}
_ELSEWHERE: Final = {
    State.PENDING: "is pending: it is on its way already",
    State.REFUSED: "was refused: `outbox retry` sends it again",
    State.HELD: "is held, since it came from an address that is not listed: `quarantine release` sends it",
    State.UNDECODABLE: "could not be understood, so there is no event to send: `quarantine replay` reads it "
    "once more",
}
_decoder = msgspec.json.Decoder(Row)


class Done(msgspec.Struct, frozen=True):
    """What was done to a row, `row` as it was before, without its body."""

    id: str
    done: str
    row: Row


class Imported(msgspec.Struct, frozen=True):
    """How many rows of an import came, and how many were here already."""

    imported: int
    already_here: int


class Carrier(Protocol):
    """The relay, as far as a drop concerns it."""

    def withhold(self, seq: int) -> bool:
        """Set this message aside; false: it is in flight."""
        ...

    def dropped(self, seq: int, *, gone: bool) -> None:
        """What was set aside is gone; or, where the drop failed, goes on as if nothing had been."""
        ...


def _unread(message: Message, trigger: str) -> Message:
    raise Undecodable(f"nothing here can read {message.trigger or trigger} bodies")


class Operators:
    """The rows, behind the journal that runs or one that was opened for this."""

    def __init__(  # noqa: PLR0913 - the journal's parts
        self,
        writer: Writer,
        tail: Tail,
        group: GroupCommit,
        cases: RetryWindow,
        *,
        caps: Callable[[], Caps],
        stats: Callable[[], Stats],
    ) -> None:
        self._writer = writer
        self._tail = tail
        self._leaving = group.leaving
        self._cases = cases
        self._caps = caps
        self._stats = stats
        self._dropping: set[int] = set()
        self.carrier: Carrier | None = None
        """The relay, where one runs; set by whoever starts it."""
        self.reread: Callable[[Message, str], Message] = _unread
        """Understands a body once more by the settings of now, as a trigger's if one is named."""

    async def status(self) -> Stats:
        """Return the outbox in numbers, as of the last commit."""
        return self._stats()

    async def rows(
        self, states: Sequence[State], after: int = 0, limit: int = PAGE_ROWS, *, with_body: bool = False
    ) -> list[Row]:
        """Return up to `limit` rows of these states after a seq, in order; none: that was all."""
        return await self._writer.call(
            lambda store: store.queries.rows(states, after, limit, with_body=with_body)
        )

    async def show(self, row_id: str, states: Sequence[State]) -> Row:
        """Return the row of this id, body and all, searched in these states.

        Raises:
            RowMissing: there is none.
            InvalidQuery: nothing could have this id.
        """
        if re.match(ROW_ID, row_id) is None:
            raise InvalidQuery(
                "that is not an id: an id has at most 64 letters, digits, dots, colons and dashes"
            )
        found = await self._writer.call(lambda store: store.queries.find(row_id, states))
        if found is None:
            raise RowMissing(f"nothing here has the id {row_id}")
        return found

    async def retry(self, event_id: str) -> Done:
        """Send a refused event again, from the tail.

        Raises:
            RowMissing: nothing here has this id.
            RowUnfit: it is not refused.
        """
        row = await self._in(State.REFUSED, event_id)
        await self._resend(row)
        return _done("retried", row)

    async def release(self, event_id: str) -> Done:
        """Send a held event, from the tail.

        Raises:
            RowMissing: nothing here has this id.
            RowUnfit: it is not held.
        """
        row = await self._in(State.HELD, event_id)
        await self._resend(row)
        return _done("released", row)

    async def replay(self, row_id: str, trigger: str = "") -> Done:
        """Read an undecodable body once more, and send the event that it is now; release a held one.

        Args:
            row_id: whose.
            trigger: as whose event to read it; empty: that of its own URL.

        Raises:
            RowMissing: nothing here has this id.
            RowUnfit: it is neither undecodable nor held; or it is held, and was read as its own trigger's.
            Undecodable: it still is no event, and stays.
        """
        row = await self.show(row_id, (*QUARANTINE, *OUTBOX))
        if row.state is State.HELD:
            return await self._replay_held(row, trigger)
        if row.state is not State.UNDECODABLE:
            raise RowUnfit(f"{row_id} {_ELSEWHERE[row.state]}")
        event = self.reread(row.message, trigger)
        await self._resend(row, event)
        self._cases.forget(row.digest)
        return _done("replayed", row)

    async def drop(self, row_id: str, states: Sequence[State]) -> Done:
        """Forget a row of these states for good.

        Raises:
            RowMissing: there is none.
            RowBusy: it is in flight to the broker.
        """
        row = await self.show(row_id, states)
        if row.state is State.PENDING:
            await self._drop_pending(row.seq)
        else:
            await self._writer.call(lambda store: store.states.drop(row.state, row.seq))
            if row.state in QUARANTINE:
                self._cases.forget(row.digest)
        return _done("dropped", row)

    async def export(self, states: Sequence[State]) -> AsyncIterator[list[bytes]]:
        """Yield every row of these states as a line of JSON, a page at a time."""
        after = 0
        while page := await self.rows(states, after, with_body=True):
            yield [msgspec.json.encode(row) + b"\n" for row in page]
            after = page[-1].seq

    async def import_lines(self, lines: Iterable[bytes], first: int = 1) -> Imported:
        """Append the rows of an export whose ids are not here, each to the state that it was exported from.

        Args:
            lines: the lines; blank ones are passed over.
            first: the number of the first one.

        Raises:
            InvalidQuery: a line is none of an export; those of earlier pages are in.
            Unavailable: the outbox is full.
        """
        came = offered = size = 0
        page: list[Row] = []
        for number, line in enumerate(lines, first):
            if line.strip():
                page.append(_imported(line, number))
                size += len(line)
            if len(page) >= PAGE_ROWS or size >= PAGE_BYTES:
                came, offered = came + await self._append_page(page), offered + len(page)
                page, size = [], 0
        if page:
            came, offered = came + await self._append_page(page), offered + len(page)
        return Imported(came, offered - came)

    async def _in(self, state: State, row_id: str) -> Row:
        """Return the row of this id, which must be in this state."""
        others = [other for other in (*QUARANTINE, *OUTBOX) if other is not state]
        row = await self.show(row_id, (state, *others))
        if row.state is not state:
            raise RowUnfit(f"{row_id} {_ELSEWHERE[row.state]}")
        return row

    async def _replay_held(self, row: Row, trigger: str) -> Done:
        if trigger not in ("", row.trigger):
            raise RowUnfit(
                f"{row.id} was understood as {row.trigger} and is held: `quarantine release` sends it"
            )
        return await self.release(row.id)

    async def _append_page(self, page: Sequence[Row]) -> int:
        came, _ = await self._writer.call(
            lambda store: store.states.append(page, self._caps()), lambda added: self._tail.extend(added[1])
        )
        return came

    async def _resend(self, row: Row, event: Message | None = None) -> None:
        """Move a row to the tail; what was refused is counted in the outbox already, so it always fits."""
        caps = None if row.state is State.REFUSED else self._caps()
        await self._writer.call(
            lambda store: store.states.resend(row.state, row.seq, caps, event),
            lambda entry: self._tail.extend([entry]),
        )

    async def _drop_pending(self, seq: int) -> None:
        carried = self.carrier is not None and not self.carrier.withhold(seq)
        if carried or seq in self._leaving or seq in self._dropping:
            raise RowBusy(
                f"the event with seq {seq} is in flight to the broker; try again when it has settled"
            )
        self._dropping.add(seq)
        # The relay must hear how it ended, also where whoever asked has gone.
        await asyncio.shield(asyncio.ensure_future(self._drop_withheld(seq)))

    async def _drop_withheld(self, seq: int) -> None:
        gone = False
        try:
            await self._writer.call(
                lambda store: store.states.drop(State.PENDING, seq), lambda _: self._tail.remove(seq)
            )
            gone = True
        finally:
            self._dropping.discard(seq)
            if self.carrier is not None:
                self.carrier.dropped(seq, gone=gone)


def _done(deed: str, row: Row) -> Done:
    return Done(row.id, deed, msgspec.structs.replace(row, body=msgspec.UNSET))


def _imported(line: bytes, number: int) -> Row:
    try:
        row = _decoder.decode(line)
        wrong = _defect(row)
    except (ValueError, RecursionError) as error:
        row, wrong = None, str(error)
    if row is None or wrong:
        raise InvalidQuery(
            f"line {number} is not a line of an export: {wrong}. Correct or remove it and import again: "
            "what is here already is left alone"
        )
    return row


def _defect(row: Row) -> str:
    """Say what makes a well-formed row unfit for an import."""
    if row.body is msgspec.UNSET:
        return "it has no body, as in a list"
    return "" if row.kind is _KINDS.get(row.state, row.kind) else f"what is {row.state} is no {row.kind}"
