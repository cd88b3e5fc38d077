"""How a captured body is understood, step by step, or why it would be quarantined."""

from datetime import datetime

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.decoded import Decoded
from tms_bridge.ingest.derivation import derive, with_derived_status
from tms_bridge.ingest.rules import Rules
from tms_bridge.ingest.text import json_value
from tms_bridge.ingest.tolerant import Find, decode_tolerantly
from tms_events import CourseAssignment


class Explanation(msgspec.Struct, frozen=True):
    """What becomes of one body.

    Attributes:
        source: whose rules were used.
        trigger: as whose event it was read.
        understood: true for an event, false for quarantine.
        reason: why it would be quarantined; None for an event.
        fields: what was found where, as far as the reading went.
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
    try:
        decoded = decode_tolerantly(json_value(body), rules, finds)
    except Undecodable as error:
        return Explanation(
            rules.source, rules.trigger.value, understood=False, fields=tuple(finds), reason=str(error)
        )
    settled = with_derived_status(decoded, received_at) if rules.derive_status else decoded
    return _understood(settled, rules, tuple(finds), received_at)


def _understood(
    decoded: Decoded, rules: Rules, finds: tuple[Find, ...], received_at: datetime
) -> Explanation:
    entity = decoded.entity
    return Explanation(
        source=rules.source,
        trigger=rules.trigger.value,
        understood=True,
        fields=finds,
        entity=str(entity.id),
        status=decoded.status.value,
        raw_status=decoded.raw_status,
        status_from=decoded.status_from.value,
        derived_status=derive(entity, received_at).value if isinstance(entity, CourseAssignment) else None,
        routing_key=rules.routing_keys[decoded.status],
    )
