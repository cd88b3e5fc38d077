"""From a body to the message that the outbox keeps: an event, or a quarantined body."""

from datetime import datetime
from typing import cast

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.arrival import Arrival
from tms_bridge.ingest.dates import from_micros
from tms_bridge.ingest.decoded import Decoded
from tms_bridge.ingest.derivation import with_derived_status
from tms_bridge.ingest.plain import decode_plainly
from tms_bridge.ingest.rules import Rules
from tms_bridge.ingest.text import json_value
from tms_bridge.ingest.tolerant import decode_tolerantly
from tms_bridge.message import Kind, Message
from tms_events import (
    Class,
    ClassChanged,
    ClassStatus,
    CourseAssignmentChanged,
    CourseAssignmentStatus,
    Event,
)

_encode = msgspec.json.Encoder().encode


def understand(body: bytes, rules: Rules, arrival: Arrival) -> Message:
    """Return the message of an event.

    Raises:
        Undecodable: the body is no event of its trigger; keep it with `quarantined`.
    """
    value = json_value(body)
    received_at = from_micros(arrival.received_at_us)
    decoded = _decode(value, rules, received_at)
    status = decoded.status.value
    return Message(
        arrival.id,
        Kind.EVENT,
        rules.source,
        rules.trigger.value,
        status,
        rules.routing_keys[status],
        str(decoded.entity.id),
        arrival.received_at_us,
        arrival.digest,
        arrival.traceparent,
        _encode(_event(decoded, rules, arrival.id, received_at, value)),
    )


def decode(body: bytes, rules: Rules, received_at: datetime) -> Decoded:
    """Return what a body means.

    Raises:
        Undecodable: it is no event of its trigger; the text is a reason that a person understands.
    """
    return _decode(json_value(body), rules, received_at)


def quarantined(body: bytes, rules: Rules, arrival: Arrival, reason: Undecodable) -> Message:
    """Return the message that keeps an undecodable body, as it came, and why."""
    return Message(
        id=arrival.id,
        kind=Kind.QUARANTINE,
        source=rules.source,
        trigger=rules.trigger.value,
        status="",
        routing_key="",
        entity="",
        received_at_us=arrival.received_at_us,
        digest=arrival.digest,
        traceparent=arrival.traceparent,
        body=body,
        reason=str(reason),
    )


def _decode(value: bytes, rules: Rules, received_at: datetime) -> Decoded:
    decoded = None if rules.pointers else decode_plainly(value, rules.trigger)
    if decoded is None:
        decoded = decode_tolerantly(value, rules)
    return with_derived_status(decoded, received_at) if rules.derive_status else decoded


def _event(decoded: Decoded, rules: Rules, event_id: str, received_at: datetime, value: bytes) -> Event:
    if isinstance(decoded.entity, Class):
        return ClassChanged(
            id=event_id,
            source=rules.source,
            status=cast("ClassStatus", decoded.status),
            raw_status=decoded.raw_status,
            status_from=decoded.status_from,
            received_at=received_at,
            class_=decoded.entity,
            payload=msgspec.Raw(value),
        )
    return CourseAssignmentChanged(
        id=event_id,
        source=rules.source,
        status=cast("CourseAssignmentStatus", decoded.status),
        raw_status=decoded.raw_status,
        status_from=decoded.status_from,
        received_at=received_at,
        course_assignment=decoded.entity,
        payload=msgspec.Raw(value),
    )
