"""Judges a record: what was applied twice, lost, crashed on, or dealt with in another wrong way.

It looks at the record alone: no clock, no broker. What it cannot know it does not hold against a consumer.
A process that was killed may have applied what it had in hand, and not have come to say so; when such an
event comes again, silence is right.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from tms_events.event import Event, entity_key
from tms_events.torture.record import Record, Sent

REMEDIES = {
    "lost": "Write the event's id and what it changes in one transaction; say so; then acknowledge.",
    "twice": "Write the event's id in the transaction of its effect, and do nothing where the id is there.",
    "overwritten": "Keep the id of what was applied last to each entity; an older event changes no state.",
    "acked-early": "Acknowledge when the effect is on disk, and write the line before the acknowledgement.",
    "crashed": "Let no message end the process: reject what is no event, put back what may work later.",
    "stuck": "Settle each message: acknowledge it, reject it, or put it back with a limit.",
    "not-dead-lettered": "Reject it without requeue, and declare the queue with x-dead-letter-exchange.",
    "invented": "Say the id of the event that was handled, as it stands in the body and in message_id.",
    "not-reached": "It took too long for a verdict: raise --limit, or look at what takes the time.",
}
"""What to do about each kind of finding."""

LESSONS = {
    (
        "lost",
        "equal-bodies",
    ): "Two ids are two events. Take an equal tms-digest for a copy only where it is the last of its entity.",
    (
        "lost",
        "late",
    ): "An older event may come late. What acts on events handles it all the same: look for its id "
    "in an inbox. (Where only the latest state counts, say --latest.)",
    ("lost", "replay"): "A replay may bring what never came: let the id decide, and not tms-replayed.",
    ("lost", "unknown-status"): "Handle a status that you do not know, or say that you are done with it.",
    ("lost", "large"): "A message is at most 256 KiB of payload, as much again of members, and 1.1 KB.",
    ("crashed", "unknown-status"): "Statuses are open: a match needs a last case, a table a default.",
    ("crashed", "unknown-members"): "Ignore members that you do not know: later versions add some.",
    ("twice", "kill-before-ack"): "What was handled must be known after a kill: on disk, with the effect.",
    ("twice", "kill-in-hand"): "What was handled must be known after a kill: on disk, with the effect.",
}
"""What to do about a kind of finding in one ordeal, where more can be said."""


class Finding(msgspec.Struct, kw_only=True, frozen=True):
    """One thing that a consumer did wrong.

    Attributes:
        kind: a key of `REMEDIES`.
        ordeal: in which it showed.
        id: of the event, or the AMQP `message_id` of what was none; empty where it is about no single one.
        text: what was seen.
        remedy: what to do.
    """

    kind: str
    ordeal: str
    id: str
    text: str
    remedy: str


def judge(record: Record, *, latest: bool = False, dead_letters: bool = True) -> list[Finding]:
    """Return all that is wrong, in the order of the ordeals.

    Args:
        record: a run that has ended.
        latest: whether only the latest state of each entity counts: then an older event may be passed over,
            and one may be applied twice.
        dead_letters: whether what is no event must be found there; a stream has none.
    """
    found = [
        *_crashed(record),
        *_stuck(record),
        *_lost(record, latest=latest),
        *([] if latest else _twice(record)),
        *_overwritten(record),
        *_acked_early(record),
        *(_not_dead_lettered(record) if dead_letters else []),
        *_invented(record),
        *(_finding("not-reached", ordeal, "", "the time was over") for ordeal in record.missed),
    ]
    order = list(dict.fromkeys([sent.ordeal for sent in record.sent] + record.missed))
    return sorted(found, key=lambda one: order.index(one.ordeal) if one.ordeal in order else -1)


def _finding(kind: str, ordeal: str, event_id: str, text: str) -> Finding:
    remedy = LESSONS.get((kind, ordeal), REMEDIES[kind])
    return Finding(kind=kind, ordeal=ordeal, id=event_id, text=text, remedy=remedy)


def _crashed(record: Record) -> Iterator[Finding]:
    falls = Counter((fall.ordeal, fall.hand[0] if fall.hand else "", fall.words) for fall in record.falls)
    for (ordeal, event_id, words), count in falls.items():
        text = words if count == 1 else f"{count} times: {words}"
        yield _finding("crashed", ordeal, event_id, text)


def _stuck(record: Record) -> Iterator[Finding]:
    for sent in (record.sent[number] for number in record.stuck):
        text = f"it was delivered {sent.deliveries} times and not settled"
        yield _finding("stuck", sent.ordeal, sent.id, text)


def _lost(record: Record, *, latest: bool) -> Iterator[Finding]:
    for sents in _by_id(record).values():
        due = [sent for sent in sents if not sent.optional]
        if not due or record.is_told(due[0].id) or any(sent.abandoned for sent in sents):
            continue
        excused = due[0].id in record.doubtful and any(sent.settled == "acked" for sent in sents)
        if not excused and not (latest and _is_outdated(record, due[0])):
            yield _finding("lost", due[0].ordeal, due[0].id, _fate(sents))


def _fate(sents: list[Sent]) -> str:
    if any(sent.buried for sent in sents):
        return "it was rejected as if it were no event, and lies in the dead letters"
    if any(sent.settled == "acked" for sent in sents):
        return "it was acknowledged, and the consumer never said that it handled it"
    if any(sent.settled == "rejected" for sent in sents):
        return "it was rejected, and is in no dead letters"
    return "it was put back until the broker took it away"


def _is_outdated(record: Record, sent: Sent) -> bool:
    """Tell whether a newer event of the entity was handled."""
    events = [one.event for one in record.sent if one.event is not None and record.is_told(one.id)]
    event = sent.event
    return event is not None and any(
        entity_key(one) == entity_key(event) and one.received_at > event.received_at for one in events
    )


def _twice(record: Record) -> Iterator[Finding]:
    counts = Counter(told.handled for told in record.told)
    for event_id, count in counts.items():
        last = [told for told in record.told if told.handled == event_id][-1]
        if count > 1:
            yield _finding(
                "twice", last.ordeal, event_id, f"the consumer said {count} times that it handled it"
            )


def _overwritten(record: Record) -> Iterator[Finding]:
    """Compare each state with what the consumer had handled before the event was even sent.

    Only that: of events that were in its hand together it may say the states in either order.
    """
    events = {sent.id: sent.event for sent in record.sent if sent.event is not None}
    first = {sent.id: sent.number for sent in reversed(record.sent)}
    newest: list[tuple[int, Event]] = []
    for told in record.told:
        event = events.get(told.handled)
        if event is None:
            continue
        of_entity = [one for one in events.values() if entity_key(one) == entity_key(event)]
        before = [
            one for known, one in newest if known <= first[event.id] and entity_key(one) == entity_key(event)
        ]
        last = max([event, *before], key=lambda one: one.received_at)
        right = {str(one.status) for one in of_entity if one.received_at >= last.received_at}
        if told.state is not None and told.state not in right:
            text = f"its entity stands at {told.state}, though an event as new as any had said {last.status}"
            yield _finding("overwritten", told.ordeal, event.id, text)
        newest.append((told.known, event))


def _acked_early(record: Record) -> Iterator[Finding]:
    for sents in _by_id(record).values():
        sent = sents[0]
        if sent.id in record.early and record.is_told(sent.id):
            text = "it was acknowledged before the consumer said that it handled it"
            yield _finding("acked-early", sent.ordeal, sent.id, text)


def _not_dead_lettered(record: Record) -> Iterator[Finding]:
    for sent in record.sent:
        if sent.event is None and sent.routed and not sent.buried and not sent.abandoned:
            text = f"a body that is no event was {sent.settled or 'dropped'}, and is in no dead letters"
            yield _finding("not-dead-lettered", sent.ordeal, sent.id, text)


def _invented(record: Record) -> Iterator[Finding]:
    known = {sent.id for sent in record.sent}
    for told in record.told:
        if told.handled not in known:
            yield _finding("invented", told.ordeal, told.handled, "no event of this id was sent")


def _by_id(record: Record) -> dict[str, list[Sent]]:
    """Return the routed copies of each event."""
    copies: dict[str, list[Sent]] = {}
    for sent in record.sent:
        if sent.event is not None and sent.routed:
            copies.setdefault(sent.id, []).append(sent)
    return copies
