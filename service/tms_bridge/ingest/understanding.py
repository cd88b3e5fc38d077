"""From a body to the message that the outbox keeps: an event, or a quarantined body."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, cast

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.decoded import Decoded, with_derived_status
from tms_bridge.ingest.observation import BodyKind
from tms_bridge.ingest.plain import EPOCH, decode_members, json_value, members_of, outline_of
from tms_bridge.ingest.rules import Rules
from tms_bridge.ingest.tolerant import decode_tolerantly
from tms_bridge.message import Kind, Message
from tms_events import (
    STATUSES,
    Class,
    ClassChanged,
    ClassStatus,
    CourseAssignment,
    CourseAssignmentChanged,
    CourseAssignmentStatus,
    Event,
    Trigger,
)

_encode: Final = msgspec.json.Encoder().encode
_EVENT: Final = Kind.EVENT
_WORDS: Final[dict[str, str]] = {word: str(word) for words in STATUSES.values() for word in words}
"""Python 3.11 takes 0.2 µs to look up the value of an enumeration's member."""
_UNKNOWN: Final = ClassStatus.UNKNOWN
"""The same word for both triggers; Python 3.11 takes 0.2 µs to look it up."""
_NO_PAYLOAD: Final = cast("msgspec.Raw", msgspec.UNSET)
"""The encoder leaves out what is UNSET."""

_MEMBER: Final = b'":'
"""Between name and value, in a body without spaces: a new member anywhere makes it one of a new kind."""
_COUNTED_BYTES: Final = 4096


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """What a body gets when it is first taken in.

    Attributes:
        id: the event's id or the quarantine id, a UUIDv7 minted for it.
        received_at_us: when it was first taken in, Unix microseconds.
        digest: as `ingest.digest` makes it.
        traceparent: W3C trace context of this delivery.
    """

    id: str
    received_at_us: int
    digest: str
    traceparent: str


def digest(source: str, trigger: str, body: bytes) -> str:
    """Return the hex BLAKE2b-256 of source, NUL, trigger, NUL and the body as it came."""
    # The copy that joining makes costs less than four updates of the hash, up to some 100 KB.
    return hashlib.blake2b(
        b"%s\0%s\0%s" % (source.encode(), trigger.encode(), body), digest_size=32
    ).hexdigest()


def understand(body: bytes, rules: Rules, stamp: Stamp) -> Message:
    """Return the message of an event.

    Raises:
        Undecodable: the body is no event of its trigger; keep it with `quarantined`.
    """
    return understand_in_full(body, rules, stamp)[0]


def understand_in_full(body: bytes, rules: Rules, stamp: Stamp) -> tuple[Message, Decoded, BodyKind]:
    """Return the message of an event, what was understood, and the kind of its body, for those who count.

    Raises:
        Undecodable: as `understand`.
    """
    received_at = EPOCH + timedelta(0, 0, stamp.received_at_us)
    value, decoded, kind = _decode(body, rules, received_at)
    status = _WORDS[decoded.status]
    message = Message(
        stamp.id,
        _EVENT,
        rules.source,
        rules.trigger_word,
        status,
        rules.routing_keys[status],
        str(decoded.entity.id),
        stamp.received_at_us,
        stamp.digest,
        stamp.traceparent,
        _encode(_event(decoded, rules, stamp.id, received_at, value)),
    )
    return message, decoded, kind


def remark(decoded: Decoded) -> str:
    """Return what the log says of an event that was not understood in full; empty where it was."""
    if decoded.status != _UNKNOWN and not decoded.reading.unread:
        return ""
    parts = []
    if decoded.status == _UNKNOWN:
        parts.append(f"a status that is not known; raw_status: {decoded.raw_status!r}")
    if decoded.reading.unread:
        parts.append(f"not read, though they hold a value: {', '.join(decoded.reading.unread)}")
    return "; ".join(parts)


def reread(message: Message, rules: Mapping[tuple[str, str], Rules], trigger: str = "") -> Message:
    """Return the event that a quarantined body is by the rules of now.

    Args:
        message: what quarantine keeps.
        rules: those of each source and trigger.
        trigger: as whose event to read it, where it came to the other's URL.

    Raises:
        Undecodable: it is still none, or its source is gone.
    """
    now = rules.get((message.source, trigger or message.trigger))
    if now is None:
        raise Undecodable(f'its source "{message.source}" is not configured any more')
    same = now.trigger == message.trigger
    own = message.digest if same else digest(message.source, now.trigger, message.body)
    stamp = Stamp(message.id, message.received_at_us, own, message.traceparent)
    return understand(message.body, now, stamp)


def decode(body: bytes, rules: Rules, received_at: datetime) -> Decoded:
    """Return what a body means.

    Raises:
        Undecodable: it is no event of its trigger; the text is a reason that a person understands.
    """
    return _decode(body, rules, received_at)[1]


def quarantined(body: bytes, rules: Rules, stamp: Stamp, reason: Undecodable) -> Message:
    """Return the message that keeps an undecodable body, as it came, and why."""
    return Message(
        id=stamp.id,
        kind=Kind.QUARANTINE,
        source=rules.source,
        trigger=rules.trigger_word,
        status="",
        routing_key="",
        entity="",
        received_at_us=stamp.received_at_us,
        digest=stamp.digest,
        traceparent=stamp.traceparent,
        body=body,
        reason=str(reason),
    )


def trial(rules: Rules, status: str, stamp: Stamp) -> Message:
    """Return the message of a test event: entity 0, a status of the trigger, and marked as a test."""
    if rules.trigger is Trigger.CLASS:
        decoded = Decoded(Class(id=0, name=_TRIAL), ClassStatus(status), status)
    else:
        decoded = Decoded(CourseAssignment(id=0, external_id=_TRIAL), CourseAssignmentStatus(status), status)
    received_at = EPOCH + timedelta(0, 0, stamp.received_at_us)
    return Message(
        id=stamp.id,
        kind=Kind.EVENT,
        source=rules.source,
        trigger=rules.trigger_word,
        status=status,
        routing_key=rules.routing_keys[status],
        entity="0",
        received_at_us=stamp.received_at_us,
        digest=stamp.digest,
        traceparent=stamp.traceparent,
        body=_encode(_event(decoded, rules, stamp.id, received_at, b"null")),
        test=True,
    )


_TRIAL: Final = "Test event of TMS Bridge"


def _decode(body: bytes, rules: Rules, received_at: datetime) -> tuple[bytes, Decoded, BodyKind]:
    value = json_value(body)
    outline = plain = None
    if (members := members_of(value)) is not None:
        outline = outline_of(tuple(members), rules.trigger)
        plain = None if rules.pointers else decode_members(value, members, outline)
    decoded = decode_tolerantly(value, rules) if plain is None else plain
    # Unlike `count`, `find` costs nothing worth speaking of, and most bodies are flat.
    inside = value.count(_MEMBER, 0, _COUNTED_BYTES) if value.find(b"{", 1, _COUNTED_BYTES) > 0 else 0
    kind = (outline, plain is None, decoded.reading.unread, inside)
    return value, with_derived_status(decoded, received_at) if rules.derive_status else decoded, kind


def _event(decoded: Decoded, rules: Rules, event_id: str, received_at: datetime, value: bytes) -> Event:
    payload = _NO_PAYLOAD if rules.omits_payload else msgspec.Raw(value)
    if isinstance(decoded.entity, Class):
        return ClassChanged(
            id=event_id,
            source=rules.source,
            status=cast("ClassStatus", decoded.status),
            raw_status=decoded.raw_status,
            status_from=decoded.status_from,
            received_at=received_at,
            class_=decoded.entity,
            reading=decoded.reading,
            payload=payload,
        )
    return CourseAssignmentChanged(
        id=event_id,
        source=rules.source,
        status=cast("CourseAssignmentStatus", decoded.status),
        raw_status=decoded.raw_status,
        status_from=decoded.status_from,
        received_at=received_at,
        course_assignment=decoded.entity,
        reading=decoded.reading,
        payload=payload,
    )
