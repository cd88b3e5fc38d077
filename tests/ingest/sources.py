"""Rules and arrivals for these tests."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

import tms_events
from tms_bridge.ingest import Decoded, Rules, Stamp, decode, rules_of, understand
from tms_bridge.message import Message
from tms_bridge.settings.model import Source
from tms_events import Class, CourseAssignment, Trigger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAMP = Stamp("0199c0de-0000-7000-8000-000000000001", 1_772_366_400_123_456, "d" * 64, "00-a-b-01")
BODIES = Path(__file__).parents[2] / "examples" / "bodies"


def rules(
    trigger: Trigger,
    fields: dict[str, str] | None = None,
    *,
    derive_status: bool = False,
    routing_key_prefix: str = "tms",
) -> Rules:
    source = Source(
        allow_from=("any",),
        credentials=(),
        derive_status=derive_status,
        routing_key_prefix=routing_key_prefix,
        fields={} if fields is None else {trigger: fields},
    )
    return rules_of("contoso", source)[trigger]


CLASS = rules(Trigger.CLASS)
ASSIGNMENT = rules(Trigger.COURSE_ASSIGNMENT)


def body_of(**members: object) -> bytes:
    return json.dumps(members).encode()


def read_class(body: bytes, by: Rules = CLASS) -> tuple[Class, Decoded]:
    decoded = decode(body, by, NOON)
    assert isinstance(decoded.entity, Class)
    return decoded.entity, decoded


def read_assignment(body: bytes, by: Rules = ASSIGNMENT) -> tuple[CourseAssignment, Decoded]:
    decoded = decode(body, by, NOON)
    assert isinstance(decoded.entity, CourseAssignment)
    return decoded.entity, decoded


def message_of(body: bytes, by: Rules = CLASS) -> Message:
    return understand(body, by, STAMP)


def event_of(body: bytes, by: Rules = CLASS) -> tms_events.Event:
    return tms_events.decode(message_of(body, by).body)


def json_of(message: Message) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(message.body)
    return value
