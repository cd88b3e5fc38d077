"""How a captured body is understood, step by step, or why it would be quarantined."""

from datetime import datetime
from typing import Final

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.decoded import Decoded, with_derived_status
from tms_bridge.ingest.members import Value, json_value, kind, parse, write_pointer
from tms_bridge.ingest.rules import Rules
from tms_bridge.ingest.status import derive
from tms_bridge.ingest.tolerant import Find, decode_document, paths
from tms_events import CourseAssignment

MAX_PATHS: Final = 500


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
