"""How a captured body is understood, step by step, or why it would be quarantined."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.decoded import Decoded, derive, with_derived_status
from tms_bridge.ingest.fields import FIELDS, ID, fold
from tms_bridge.ingest.members import Number, Pointer, Value, kind, parse, write_pointer
from tms_bridge.ingest.plain import UnreadableValue, json_value
from tms_bridge.ingest.rules import Rules
from tms_bridge.ingest.tolerant import Find, decode_document, paths
from tms_bridge.ingest.values import read_id, read_status
from tms_events import ClassStatus, CourseAssignment, Trigger

MAX_PATHS: Final = 500
_MOST_TRIED: Final = 100
_MOST_PLACES: Final = 8
_SURE: Final = 1000
_LIKE_ID: Final = ("id", "key", "number", "no", "code")


class BodyPath(msgspec.Struct, frozen=True):
    """One member of a body: its JSON Pointer, and the type of what it holds."""

    pointer: str
    type: str


class Explanation(msgspec.Struct, frozen=True):
    """What becomes of one body.

    Attributes:
        source: whose rules were used.
        trigger: as whose event it was read.
        understood: true for an event, false for quarantine.
        reason: why it would be quarantined; None for an event.
        fields: what was found where, each field of the trigger, also where the body is no event.
        paths: every member of the body with its type, 500 at most; none where it is no JSON.
        unread: fields that hold a value which could not be read.
        assumed: fields whose moment came without an offset.
        days: fields that hold a day, not a moment.
        entity: decimal id of the course assignment or class; None in quarantine.
        status: its word in the routing key; None in quarantine.
        raw_status: the sender's own word or number; None where it told none.
        status_from: `payload` or `derived`; None in quarantine.
        derived_status: what a derivation from the dates gives; None for a class and in quarantine.
        routing_key: where the event goes; None in quarantine.
    """

    source: str
    trigger: str
    understood: bool
    fields: tuple[Find, ...]
    paths: tuple[BodyPath, ...] = ()
    unread: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    reason: str | None = None
    entity: str | None = None
    status: str | None = None
    raw_status: str | None = None
    status_from: str | None = None
    derived_status: str | None = None
    routing_key: str | None = None


def explain(body: bytes, rules: Rules, received_at: datetime) -> Explanation:
    """Explain what a body received at this moment becomes; never raises for the body's sake."""
    finds: list[Find] = []
    members: tuple[BodyPath, ...] = ()
    try:
        document = parse(json_value(body))
        members = _paths(document)
        decoded = decode_document(document, rules, finds)
    except Undecodable as error:
        return Explanation(
            rules.source,
            rules.trigger.value,
            understood=False,
            fields=tuple(finds),
            paths=members,
            reason=str(error),
        )
    settled = with_derived_status(decoded, received_at) if rules.derive_status else decoded
    return _understood(settled, rules, (tuple(finds), members), received_at)


def _paths(document: Value) -> tuple[BodyPath, ...]:
    return tuple(BodyPath(write_pointer(place), kind(value)) for place, value in paths(document, MAX_PATHS))


def _understood(
    decoded: Decoded,
    rules: Rules,
    shown: tuple[tuple[Find, ...], tuple[BodyPath, ...]],
    received_at: datetime,
) -> Explanation:
    entity, reading = decoded.entity, decoded.reading
    derived = (
        derive(entity, received_at, reading.unread).value if isinstance(entity, CourseAssignment) else None
    )
    return Explanation(
        source=rules.source,
        trigger=rules.trigger.value,
        understood=True,
        fields=shown[0],
        paths=shown[1],
        unread=reading.unread,
        assumed=reading.assumed,
        days=reading.days,
        entity=str(entity.id),
        status=decoded.status.value,
        raw_status=decoded.raw_status,
        status_from=decoded.status_from.value,
        derived_status=derived,
        routing_key=rules.routing_keys[decoded.status],
    )


class Proposal(msgspec.Struct, frozen=True):
    """Where fields could lie in bodies that were no event.

    Attributes:
        source: whose bodies.
        trigger: of which trigger.
        pointers: a JSON Pointer for each field that would have to be told; empty where none helps.
        released: how many of the bodies would be events with these.
        told: how many of those would tell a status that is known.
        bodies: how many were no event.
    """

    source: str
    trigger: str
    pointers: dict[str, str]
    released: int
    told: int
    bodies: int


def propose(bodies: Sequence[bytes], rules: Rules, received_at: datetime) -> Proposal:
    """Seek the pointers that would make the most of these bodies events, trying each likely place."""
    strangers = [body for body in bodies if not explain(body, rules, received_at).understood]
    sample = strangers[:: len(strangers) // _MOST_TRIED + 1]
    ids, statuses = _candidates(sample, rules)
    best: tuple[int, int, int] = (0, 0, 0)
    pointers: dict[str, Pointer] = {}
    for place, state in itertools.product((None, *ids), (None, *statuses)):
        tried = {name: one for name, one in (("id", place), ("status", state)) if one is not None}
        released, told = _released(sample, rules, tried, received_at)
        if (released, told, -len(tried)) > best:
            best, pointers = (released, told, -len(tried)), tried
    released, told = _released(strangers, rules, pointers, received_at)
    written = {name: write_pointer(pointer) for name, pointer in pointers.items()}
    return Proposal(rules.source, rules.trigger_word, written, released, told, len(strangers))


def _released(
    bodies: Sequence[bytes], rules: Rules, pointers: dict[str, Pointer], received_at: datetime
) -> tuple[int, int]:
    if not pointers:
        return 0, 0
    by = msgspec.structs.replace(rules, pointers=rules.pointers | pointers)
    told = [explain(body, by, received_at) for body in bodies]
    events = [one for one in told if one.understood]
    return len(events), sum(one.status != ClassStatus.UNKNOWN for one in events)


def _candidates(bodies: Iterable[bytes], rules: Rules) -> tuple[list[Pointer], list[Pointer]]:
    """Return the places that could hold an id and a status, the likeliest and the most frequent first."""
    ids: Counter[Pointer] = Counter()
    statuses: Counter[Pointer] = Counter()
    for body in bodies:
        with suppress(Undecodable):
            for place, value in paths(parse(json_value(body)), MAX_PATHS):
                ids[place] += _may_be_id(place, value, rules.trigger)
                statuses[place] += _may_be_status(value, rules.trigger)
    return _likeliest(ids), _likeliest(statuses)


def _likeliest(counted: Counter[Pointer]) -> list[Pointer]:
    ranked = sorted(((-times, len(place), place) for place, times in counted.items() if times))
    return [place for _, _, place in ranked[:_MOST_PLACES]]


def _may_be_id(place: Pointer, value: Value, trigger: Trigger) -> int:
    """Return how well a member could be the entity's id; 0 for what is the id of something else."""
    name = fold(place[-1])
    others = {alias for field in FIELDS[trigger] for alias in field.aliases}
    try:
        number = read_id(value)[0]
    except UnreadableValue:
        return 0
    if number is None or name in others or not name.endswith(_LIKE_ID):
        return 0
    return _SURE if name in ID[trigger].aliases or trigger.replace("_", "") in name else 1


def _may_be_status(value: Value, trigger: Trigger) -> int:
    try:
        status = read_status(value, trigger)
    except UnreadableValue:
        return 0
    # A small number could be anything; a word of the vocabulary could not.
    return int(status.word != ClassStatus.UNKNOWN and not isinstance(value, Number))
