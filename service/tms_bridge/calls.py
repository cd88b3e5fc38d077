"""Every call to the webhook listener, refused ones too, with what became of it: bounded, and without bodies.

Theory of operation. Each call is one value, made once it is answered. A call that brought an event opens the
event's fate, which the relay's reports fill in; a retry of TMS shares the fate of the call before it. Calls
that were turned away for one reason and from one address within the hour are one row that counts. Nothing
here waits or reads a clock; whoever watches asks every so often what has changed.

| what comes | row | order |
| --- | --- | --- |
| a call that brought an event | its own, with a fate | newest |
| a retry of it | its own, with the same fate | newest |
| a call like one of the last hour that was turned away | that one, counted up | becomes the newest |
| an unknown path | that of its address, or of all addresses where there are many | becomes the newest |
| word from the relay | that of the event's calls, changed | stays |
| more rows than are kept | the oldest is forgotten | |
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterator
from itertools import dropwhile, islice
from operator import attrgetter
from typing import Final, Literal

import msgspec

from tms_bridge.history import History
from tms_bridge.message import Kind, Message, Messages
from tms_events import Trigger

MAX_ROWS: Final = 10_000
"""How many rows are kept."""

FOLD_S: Final = 3600.0
"""How long a row goes on counting calls like its first."""

MAX_ADDRESSES: Final = 50
"""Of unknown paths: how many addresses have a row each within a minute; further ones share one."""

_MINUTE_S: Final = 60.0

TEST: Final = "test"
"""The outcome of an event that an operator sent to try the way; nobody called."""

State = Literal["", "waiting", "delivered", "unroutable", "blocked", "refused"]


class AnsweredCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One HTTP request to the webhook listener, and how it was answered.

    Attributes:
        at: when its headers had come, Unix seconds.
        path: as asked, escaped and cut.
        source: the configured source; empty where the path names none.
        address: of the caller, which a trusted proxy may have told.
        peer: the address that the connection came from.
        listed: the address is on the source's allowlist.
        credential: the name of the credential that was right; empty where none was.
        outcome: the word of the metrics.
        detail: why, in words; empty where there is nothing to say.
        answered: the whole answer was handed to a connection that was still open.
        id: of the event, or of the row in quarantine; empty where nothing was kept.
        entity: decimal id of the course assignment or class; empty where none was read.
    """

    at: float
    request_id: str
    method: str
    path: str
    http_status: int
    outcome: str
    duration_ms: float
    source: str = ""
    trigger: str = ""
    address: str = ""
    peer: str = ""
    listed: bool = False
    credential: str = ""
    detail: str = ""
    answered: bool = True
    id: str = ""
    status: str = ""
    entity: str = ""
    routing_key: str = ""

    @property
    def kept(self) -> bool:
        """Whether it brought an event that is on its way, or was."""
        return bool(self.id) and self.outcome in _EVENTS


class Fate(msgspec.Struct, gc=False):
    """What became of one event after its call; moments are Unix seconds, 0 where it has not come to that.

    Attributes:
        committed: when it was durable.
        published: when the publish left that the broker then confirmed.
        confirmed: when the broker had it, on every queue or, unroutable, on that of the unroutable.
        state: where it stands.
        reason: why the broker refused it.
        bound_since: no queue wanted it, and a later one of its topic was delivered.
    """

    committed: float = 0.0
    published: float = 0.0
    confirmed: float = 0.0
    state: State = "waiting"
    reason: str = ""
    bound_since: bool = False


class CallRow(msgspec.Struct, gc=False):
    """One line of the list: a call, or several alike.

    Attributes:
        number: rises with each row; names it.
        call: the last of them.
        first_at: when the first came.
        count: how many there were.
        addresses: how many addresses they came from, where that is not one.
        changed: rises with each change to any row.
        fate: what became of its event; None where it brought none.
        fold: what the calls of this row have in common; empty where it stands for one call.
    """

    number: int
    call: AnsweredCall
    first_at: float
    count: int = 1
    addresses: int = 1
    changed: int = 0
    fate: Fate | None = None
    fold: tuple[str, ...] = ()


class Hook(msgspec.Struct):
    """What is known of one webhook, a source's for one trigger, since this process began; 0 where never.

    Attributes:
        first: when it brought its first event.
        last: when it brought its last.
        looked: when somebody opened its URL last.
        looked_from: from which address.
        newest: its last event.
        refused: the last refusal, until its address brings an event.
    """

    first: float = 0.0
    last: float = 0.0
    newest: CallRow | None = None
    looked: float = 0.0
    looked_from: str = ""
    refused: CallRow | None = None


class Calls:
    """The last calls. `durable` says whether an event is delivered once it is answered ("broker")."""

    def __init__(self, durable: str = "outbox", max_rows: int = MAX_ROWS) -> None:
        self.max_rows = max_rows
        self._delivered_at_once = durable == "broker"
        self._rows: OrderedDict[int, CallRow] = OrderedDict()
        self._folds: dict[tuple[str, ...], CallRow] = {}
        self._by_event: dict[str, tuple[CallRow, ...]] = {}
        self._senders: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._strangers: set[str] = set()
        self._strangers_since = 0.0
        self._number = 0
        self._change = 0
        self.history = History()
        """How much was taken, delivered and refused."""
        self.messages = Messages()
        """The last delivered messages."""
        self.hooks: defaultdict[tuple[str, str], Hook] = defaultdict(Hook)
        """By source and trigger, those that were ever called."""
        self._used: dict[tuple[str, str], float] = {}
        self._open: dict[int, CallRow] = {}
        self._unbound: set[str] = set()

    @property
    def open(self) -> Collection[CallRow]:
        """The events that no queue wanted, or that a queue refuses just now."""
        return self._open.values()

    @property
    def turned_away(self) -> Collection[CallRow]:
        """The rows that brought no event, of those that still count."""
        return self._folds.values()

    @property
    def change(self) -> int:
        """The number of the last change; `since` says what came after it."""
        return self._change

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[CallRow]:
        """Yield the rows, the newest first."""
        return reversed(self._rows.values())

    def note(self, call: AnsweredCall) -> CallRow:
        """Take in one answered call; return its row."""
        if call.kept:
            return self._note_event(call)
        row = self._fold(call)
        if call.http_status >= _REFUSED:
            self.history.note_refused(call.outcome)
        if call.source:
            self._note_hook(call, row)
        return row

    def _note_event(self, call: AnsweredCall) -> CallRow:
        """Give a call that brought an event its row; the calls of one event share its fate."""
        before = self._by_event.get(call.id)
        fate = before[0].fate if before else None
        if fate is None:
            answered = call.at + call.duration_ms / 1000
            if self._delivered_at_once:
                fate = Fate(answered, call.at, answered, "delivered")
            else:
                fate = Fate(answered)
        row = self._append(call, fate)
        # Only now: for this row the oldest was forgotten, which may have been of the same event.
        self._by_event[call.id] = (*self._by_event.get(call.id, ()), row)
        if call.outcome != TEST:  # which says nothing about TMS
            self._know(call).newest = row
            self.history.note_taken(call.duration_ms)
        return row

    def _fold(self, call: AnsweredCall) -> CallRow:
        fold = self._fold_of(call)
        row = self._folds.get(fold)
        if row is None or call.at - row.first_at > FOLD_S:
            row = self._folds[fold] = self._append(call, None, fold)
            return row
        row.call, row.count = call, row.count + 1
        if fold == _MANY:
            row.addresses = len(self._strangers)
        self._rows.move_to_end(row.number)
        self._touch(row)
        return row

    def hook(self, source: str, trigger: str) -> Hook:
        """Return what is known of one webhook."""
        return self.hooks.get((source, trigger)) or Hook()

    def used(self, source: str, credential: str) -> float:
        """Return when a credential brought its last event, Unix seconds; 0 where never."""
        return self._used.get((source, credential), 0.0)

    def sent_for(self, address: str, source: str, since: float, *triggers: str) -> bool:
        """Return whether an address has brought an event of a source, by any of these webhooks, since."""
        moments = (self._senders.get((address, source, one), 0.0) for one in triggers or Trigger)
        return any(moment >= since > 0 for moment in moments)

    def delivered(self, message: Message, published: float, confirmed: float) -> None:
        """The broker has a message, on every queue that it went to; Unix seconds."""
        if message.kind is Kind.QUARANTINE:
            return  # a copy of a body, which is no event
        self.history.note_delivered()
        self.messages.note(message)
        for row in self._by_event.get(message.id, ()):
            if (fate := row.fate) is not None:
                if fate.state != "unroutable":
                    fate.state = "delivered"
                    if self._open:
                        self._open.pop(row.number, None)
                    if self._unbound:
                        self._bound(row.call.routing_key)
                fate.published, fate.confirmed = fate.published or published, confirmed
                self._touch(row)

    def replayed(self, event_id: str, now: float) -> None:
        """An event that no queue wanted was sent again, and a queue has it."""
        for row in self._by_event.get(event_id, ()):
            if (fate := row.fate) is not None:
                fate.state, fate.confirmed = "delivered", now
                self._open.pop(row.number, None)
                self._bound(row.call.routing_key)
                self._touch(row)

    def told(self, event_id: str, state: State, reason: str = "") -> None:
        """The broker gave an event back, does not take it now, or never will."""
        for row in self._by_event.get(event_id, ()):
            if (fate := row.fate) is not None:
                fate.state, fate.reason = state, reason
                self._open[row.number] = row
                if state == "unroutable":
                    self._unbound.add(row.call.routing_key)
                self._touch(row)

    def _bound(self, routing_key: str) -> None:
        """A queue is bound to this key by now, so that its earlier events wait for a replay alone."""
        if routing_key in self._unbound:
            self._unbound.discard(routing_key)
            for row in [row for row in self._open.values() if row.call.routing_key == routing_key]:
                if (fate := row.fate) is not None:
                    fate.bound_since = True
                del self._open[row.number]
                self._touch(row)

    def find(self, request_id: str) -> CallRow | None:
        """Return the row whose last call has this request id."""
        return next((row for row in self if row.call.request_id == request_id), None)

    def of_event(self, event_id: str) -> list[CallRow]:
        """Return the calls that brought one event, the first of them first."""
        return list(self._by_event.get(event_id, ()))

    def since(self, change: int, limit: int) -> list[CallRow]:
        """Return up to `limit` of the rows that changed after a change, the latest of them, in order."""
        if change >= self._change:
            return []
        # Who watches is rare and asks seldom; an order by change would have to be kept at every webhook.
        later = sorted((row for row in self._rows.values() if row.changed > change), key=_CHANGED)
        return later[-limit:]

    def select(
        self, wanted: Callable[[CallRow], bool], limit: int, before: int | None = None
    ) -> list[CallRow]:
        """Return up to `limit` rows, the newest first; `before` names the row after which to go on."""
        rows = iter(self)
        if before is not None:
            rows = islice(dropwhile(lambda row: row.number != before, rows), 1, None)
        return list(islice(filter(wanted, rows), limit))

    def _know(self, call: AnsweredCall) -> Hook:
        """Remember who sends what, for as many as are remembered, and that their refusals are over."""
        hook = self.hooks[call.source, call.trigger]
        hook.first, hook.last = hook.first or call.at, call.at
        if hook.refused is not None and hook.refused.call.address == call.address:
            hook.refused = None
        self._used[call.source, call.credential] = call.at
        sender = (call.address, call.source, call.trigger)
        self._senders[sender] = call.at
        if len(self._senders) > _MAX_SENDERS:
            self._senders.popitem(last=False)
        return hook

    def _note_hook(self, call: AnsweredCall, row: CallRow) -> None:
        hook = self.hooks[call.source, call.trigger]
        if call.outcome == "looked":
            hook.looked, hook.looked_from = call.at, call.address
        elif call.outcome not in _NO_REFUSALS:
            hook.refused = row

    def _append(self, call: AnsweredCall, fate: Fate | None, fold: tuple[str, ...] = ()) -> CallRow:
        self._number += 1
        self._change += 1
        row = CallRow(self._number, call, call.at, changed=self._change, fate=fate, fold=fold)
        self._rows[row.number] = row
        if len(self._rows) > self.max_rows:
            self._forget_oldest()
        return row

    def _touch(self, row: CallRow) -> None:
        self._change += 1
        row.changed = self._change

    def _forget_oldest(self) -> None:
        number, row = self._rows.popitem(last=False)
        self._open.pop(number, None)
        if row.fate is None:
            if self._folds.get(row.fold) is row:
                del self._folds[row.fold]
            return
        # The calls of one event are in the order in which they came.
        if later := self._by_event.pop(row.call.id)[1:]:
            self._by_event[row.call.id] = later

    def _fold_of(self, call: AnsweredCall) -> tuple[str, ...]:
        """Name what a call without an event has in common with others."""
        if call.source:
            return (call.source, call.trigger, call.outcome, call.detail, call.address, call.id)
        return self._strangers_fold(call)

    def _strangers_fold(self, call: AnsweredCall) -> tuple[str, ...]:
        """Give the first addresses of a minute that name no source a row each, and all others one."""
        if call.at - self._strangers_since > _MINUTE_S:
            self._strangers_since = call.at
            self._strangers = set()
        alone = (*_MANY, call.outcome, call.address)
        if alone in self._folds or len(self._strangers) < MAX_ADDRESSES:
            self._strangers.add(call.address)
            return alone
        if len(self._strangers) < _MAX_STRANGERS:
            self._strangers.add(call.address)
        return _MANY


_CHANGED: Final = attrgetter("changed")
_EVENTS: Final = frozenset({"accepted", "duplicate", TEST})
_NO_REFUSALS: Final = frozenset({"looked", "probed", "aborted", "held"})
_REFUSED: Final = 400
_MANY: Final = ("strangers",)
_MAX_SENDERS: Final = 1024
_MAX_STRANGERS: Final = 4096
