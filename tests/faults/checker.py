"""Judges the records of a run, in the manner of Jepsen: pure, and knows nothing of the bridge's code.

What it asks, by the words of the design:

| question       | of what                                                                                |
| -------------- | -------------------------------------------------------------------------------------- |
| missing        | every id that was answered 2xx reached a queue, its own or `tms.unroutable`            |
| partly-missing | ... and each queue that wants its key, unless the topology was disturbed then          |
| order          | per entity and queue, first deliveries come in the order in which the sender was answered |
| copies         | before each copy, a publish of that very id was refused or lost its outcome            |
| second-ids     | no more ids of one body than real events, plus calls that may have been answered       |
| swallowed      | two events that were both answered have two ids, also where their bodies are equal     |
| invented       | nothing was delivered that was not sent                                                |
| changed        | routing key and payload are those of the event that was sent                           |
| quarantine     | every undecodable body: only 422, one id, one row, its count, a copy on its queue      |
| given-up       | the sender gave nothing up while there was room                                        |
| clock          | `received_at` of an entity's events never falls, whatever the wall clock does          |
| shares         | beside a greedy source, nothing of another one is refused                              |
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from tests.faults.records import QUARANTINE, UNROUTABLE, Attempt, Case, Delivery, FaultBand, History

QUESTIONS: Final = (
    "missing",
    "partly-missing",
    "order",
    "copies",
    "second-ids",
    "swallowed",
    "invented",
    "changed",
    "quarantine",
    "given-up",
    "clock",
    "shares",
)

REFUSED: Final = 503
RECOVERY_S: Final = 10.0
"""How long after a fault a call may still be refused for it: the back-off that it leaves behind."""

SETTLING_S: Final = 3.0
"""How long before and after a disturbance of the topology a queue may miss what another got."""


class Violation(msgspec.Struct, frozen=True):
    """One answer that is not as it must be."""

    question: str
    detail: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What there was to judge.

    Attributes:
        copies: deliveries of an id that its queue had got before, by queue.
        copies_allowed: publishes that were refused or lost their outcome, and what kills may have kept.
        second_ids: ids beyond the one of each event.
    """

    calls: int
    events: int
    accepted: int
    retried: int
    undecodable: int
    given_up: int
    deliveries: int
    copies: dict[str, int]
    copies_allowed: int
    second_ids: int


class Verdict(msgspec.Struct, frozen=True):
    """The answer to every question."""

    violations: list[Violation]
    counts: Counts

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations

    def of(self, question: str) -> list[Violation]:
        """Return what is wrong with respect to one question."""
        return [violation for violation in self.violations if violation.question == question]


def check(history: History) -> Verdict:
    """Answer every question."""
    judge = _Judge(history)
    violations = [Violation(question, detail) for question in QUESTIONS for detail in judge.answer(question)]
    return Verdict(violations, judge.counts())


class _Event(msgspec.Struct):
    """One event of the sender's, with all its calls."""

    calls: list[Attempt]

    @property
    def id(self) -> str | None:
        """The id by which it was accepted."""
        return next((call.id for call in self.calls if call.accepted), None)

    def describe(self) -> str:
        """Name it so that it can be found in the records."""
        call = self.calls[-1]
        return f"{call.trigger} {call.entity} #{call.ordinal} (id {self.id}, sent {call.sent_at:.3f})"


class _Judge:
    """One history, indexed once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._events: dict[tuple[str, int, int], _Event] = {}
        self._bodies: dict[tuple[str, int, int], _Event] = {}
        for call in history.attempts:
            events = self._bodies if call.kind == "undecodable" else self._events
            events.setdefault((call.trigger, call.entity, call.ordinal), _Event([])).calls.append(call)
        self._sent = {call.digest: call for call in history.attempts}
        self._by_digest: dict[str, list[_Event]] = defaultdict(list)
        for event in self._events.values():
            self._by_digest[event.calls[0].digest].append(event)
        self._queues: dict[str, list[Delivery]] = defaultdict(list)
        self._ids_of: dict[str, set[str]] = defaultdict(set)
        for delivery in history.deliveries:
            self._queues[delivery.queue].append(delivery)
            self._ids_of[delivery.digest].add(delivery.message_id)
        self._firsts = {queue: _firsts(deliveries) for queue, deliveries in self._queues.items()}

    def answer(self, question: str) -> Iterator[str]:
        """Yield what is wrong."""
        answers = {
            "missing": self._missing,
            "partly-missing": self._partly_missing,
            "order": self._order,
            "copies": self._copies,
            "second-ids": self._second_ids,
            "swallowed": self._swallowed,
            "invented": self._invented,
            "changed": self._changed,
            "quarantine": self._quarantine,
            "given-up": self._given_up,
            "clock": self._clock,
            "shares": self._shares,
        }
        return answers[question]()

    def counts(self) -> Counts:
        """Say how much there was to judge."""
        events = self._events.values()
        return Counts(
            calls=len(self._history.attempts),
            events=len(self._events),
            accepted=sum(event.id is not None for event in events),
            retried=sum(len(event.calls) > 1 for event in events),
            undecodable=len(self._bodies),
            given_up=sum(given_up.kind != "undecodable" for given_up in self._history.given_up),
            deliveries=len(self._history.deliveries),
            copies={queue: len(_copies(deliveries)) for queue, deliveries in sorted(self._queues.items())},
            copies_allowed=sum(len(disruption.ids) for disruption in self._history.disruptions),
            second_ids=sum(
                max(0, len(self._ids_of[digest]) - len(events)) for digest, events in self._by_digest.items()
            ),
        )

    def _missing(self) -> Iterator[str]:
        delivered = {delivery.message_id for delivery in self._history.deliveries}
        for event in self._events.values():
            if event.id is not None and event.id not in delivered:
                yield f"{event.describe()} was answered 2xx and reached no queue"

    def _partly_missing(self) -> Iterator[str]:
        disturbed = [band for band in self._history.bands if band.topology]
        unroutable = self._firsts.get(UNROUTABLE, {})
        delivered = _firsts(self._history.deliveries)
        # A consumer that lags gets an event long after it was routed, and a confirm may be held up likewise.
        confirmed = {confirm.id: confirm.at for confirm in reversed(self._history.confirms)}
        for event in self._events.values():
            if event.id is None or event.id in unroutable or event.id not in delivered:
                continue
            routed_by = (delivered[event.id].at, confirmed.get(event.id, math.inf))
            if any(_within(disturbed, at, SETTLING_S) for at in routed_by):
                continue
            call = event.calls[-1]
            key = f"tms.{call.trigger}.{call.status}"
            for binding in self._history.bindings:
                if binding.wants(key) and event.id not in self._firsts.get(binding.queue, {}):
                    yield f"{event.describe()} did not reach {binding.queue}"

    def _order(self) -> Iterator[str]:
        events = sorted(self._events.items())
        for queue, firsts in self._firsts.items():
            earlier: dict[tuple[str, int], list[tuple[Delivery, _Event]]] = defaultdict(list)
            for (trigger, entity, _), event in events:
                first = firsts.get(event.id or "")
                if first is None or first.replayed:
                    continue
                late = [each for before, each in earlier[trigger, entity] if _overtaken(before, first)]
                if late:
                    yield f"{queue}: {late[-1].describe()} came after {event.describe()}"
                earlier[trigger, entity].append((first, event))

    def _copies(self) -> Iterator[str]:
        """Each copy of an id must be paid for by an outcome of that id that was lost before it."""
        losses: dict[str, list[float]] = defaultdict(list)
        for disruption in self._history.disruptions:
            for message_id in (*disruption.ids, *disruption.unread):
                losses[message_id].append(disruption.at)
        for queue, deliveries in self._queues.items():
            had: Counter[str] = Counter()
            for copy in _copies(deliveries):
                had[copy.message_id] += 1
                allowed = sum(at <= copy.at for at in losses[copy.message_id])
                if had[copy.message_id] > allowed:
                    yield f"{queue}: {copy.message_id} again at {copy.at:.3f}, beyond {allowed} lost outcomes"

    def _second_ids(self) -> Iterator[str]:
        for digest, events in self._by_digest.items():
            excess = len(self._ids_of[digest]) - len(events)
            unanswered = sum(self._may_be_forgotten(call) for event in events for call in event.calls)
            if excess > unanswered:
                yield (
                    f"{events[0].describe()}: {len(self._ids_of[digest])} ids for {len(events)} events, and "
                    f"{unanswered} calls whose answer may be lost"
                )

    def _may_be_forgotten(self, call: Attempt) -> bool:
        """Tell whether a retry may get another id: there may have been a 2xx, or no disk to remember."""
        if not self._history.outbox:
            return not call.accepted
        return call.code is None and not self._cannot_have_been_answered(call)

    def _cannot_have_been_answered(self, call: Attempt) -> bool:
        """Tell whether the connection was closed well before a 2xx can have been written.

        A retry may find its event durable already, and is answered at once then, however slow the disk is.
        """
        return call.number == 1 and any(
            band.began + band.answers_take_s <= call.sent_at < band.ended - band.answers_take_s
            and call.answered_at - call.sent_at < band.answers_take_s / 2
            for band in self._history.bands
            if band.answers_take_s
        )

    def _swallowed(self) -> Iterator[str]:
        for events in self._by_digest.values():
            seen: dict[str, _Event] = {}
            for event in events:
                if event.id is not None and event.id in seen:
                    yield f"{event.describe()} was taken for {seen[event.id].describe()}"
                seen[event.id or ""] = event

    def _invented(self) -> Iterator[str]:
        for delivery in self._history.deliveries:
            if delivery.digest not in self._sent or not delivery.message_id:
                yield f"{delivery.queue}: {delivery.message_id} with a digest that nobody sent"

    def _changed(self) -> Iterator[str]:
        for delivery in self._history.deliveries:
            sent = self._sent.get(delivery.digest)
            if sent is None:
                continue
            if delivery.content != delivery.digest:
                yield f"{delivery.queue}: {delivery.message_id} has another payload ({delivery.content})"
            key = f"tms.{sent.trigger}.{sent.status}"
            if sent.kind != "undecodable" and delivery.routing_key != key:
                yield f"{delivery.queue}: {delivery.message_id} has the key {delivery.routing_key}, not {key}"
            if (sent.kind == "undecodable") is not (delivery.queue == QUARANTINE):
                yield f"{delivery.message_id}: {sent.kind} on {delivery.queue}"

    def _quarantine(self) -> Iterator[str]:
        rows: dict[str, list[Case]] = defaultdict(list)
        for case in self._history.cases:
            rows[case.digest].append(case)
        copies = self._firsts.get(QUARANTINE, {})
        for body in self._bodies.values():
            told = {call.id for call in body.calls if call.code == 422}
            if any(call.accepted for call in body.calls):
                yield f"{body.describe()}: undecodable, but answered 2xx"
            if not told:
                continue
            if not told <= copies.keys():
                yield f"{body.describe()}: no copy on {QUARANTINE}"
            if self._history.outbox:
                yield from _row(body, told, rows[body.calls[0].digest], killed=self._killed_meanwhile(body))

    def _killed_meanwhile(self, body: _Event) -> bool:
        first, last = body.calls[0].sent_at, body.calls[-1].answered_at
        kills = [disruption.at for disruption in self._history.disruptions if disruption.cause == "kill"]
        return any(first <= at <= last + SETTLING_S for at in kills)

    def _given_up(self) -> Iterator[str]:
        bands = [band for band in self._history.bands if band.may_give_up]
        for given_up in self._history.given_up:
            if given_up.kind == "undecodable":
                continue
            calls = self._events[given_up.trigger, given_up.entity, given_up.ordinal].calls
            if not any(_refused_for(bands, call) for call in calls):
                yield (
                    f"{given_up.trigger} {given_up.entity} #{given_up.ordinal} was given up at "
                    f"{given_up.at:.3f}: {', '.join(map(_tell, calls))}"
                )

    def _clock(self) -> Iterator[str]:
        """Without a disk nothing outlives a restart, and so not the newest moment either."""
        if not self._history.outbox:
            return
        received = {each.message_id: each.received_at for each in self._history.deliveries}
        newest: dict[tuple[str, int], float] = {}
        for (trigger, entity, _), event in sorted(self._events.items()):
            at = received.get(event.id or "", 0.0)
            before = newest.get((trigger, entity), 0.0)
            if at and at < before:
                yield f"{event.describe()} was received {before - at:.6f} s before an earlier one"
            newest[trigger, entity] = max(at, before)

    def _shares(self) -> Iterator[str]:
        bands = [band for band in self._history.bands if band.spares_others]
        for call in self._history.attempts:
            if call.code == REFUSED and any(_met(band, call) for band in bands):
                yield f"{call.trigger} {call.entity} #{call.ordinal} was refused: {_tell(call)}"


def _met(band: FaultBand, call: Attempt) -> bool:
    """Tell whether a call came while a fault was in force, and those before it were over."""
    return band.began + SETTLING_S <= call.sent_at <= band.ended


def _row(body: _Event, told: set[str | None], rows: Sequence[Case], *, killed: bool) -> Iterator[str]:
    """Compare a body's row with the calls that brought it; a kill may lose what was counted last."""
    ids = {row.id for row in rows}
    if len(rows) != 1 or told != ids:
        yield f"{body.describe()}: answered {sorted(map(str, told))}, but its rows are {sorted(ids)}"
        return
    seen = rows[0].seen
    least = 1 if killed else sum(call.code == 422 for call in body.calls)
    if not least <= seen <= len(body.calls):
        yield f"{body.describe()}: seen {seen} times, and sent between {least} and {len(body.calls)} times"


def _tell(call: Attempt) -> str:
    return f"{call.code or call.error} at {call.sent_at:.3f} in {call.answered_at - call.sent_at:.3f} s"


def _overtaken(before: Delivery, later: Delivery) -> bool:
    """Tell whether a later event's first delivery came before an earlier one's.

    The consumer does not write down what is lost with its connection. Where the broker says that it gave the
    earlier event before, and this is the connection on which the later one came, it was on one before that.
    """
    given_before = before.redelivered and before.connection == later.connection
    return before.position > later.position and not given_before


def _firsts(deliveries: Iterable[Delivery]) -> dict[str, Delivery]:
    firsts: dict[str, Delivery] = {}
    for delivery in deliveries:
        firsts.setdefault(delivery.message_id, delivery)
    return firsts


def _copies(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Return the deliveries of messages that were published again; what the broker gives again is none."""
    seen: set[str] = set()
    copies = []
    for delivery in deliveries:
        if delivery.message_id in seen and not (delivery.redelivered or delivery.replayed):
            copies.append(delivery)
        seen.add(delivery.message_id)
    return copies


def _within(bands: Iterable[FaultBand], at: float, slack_s: float) -> bool:
    return any(band.began - slack_s <= at <= band.ended + slack_s for band in bands)


def _refused_for(bands: Iterable[FaultBand], call: Attempt) -> bool:
    return any(band.began <= call.answered_at and call.sent_at <= band.ended + RECOVERY_S for band in bands)
