import json

import msgspec
import pytest

from tms_events import (
    ClassChanged,
    ClassStatus,
    CourseAssignmentChanged,
    CourseAssignmentStatus,
    MalformedMessage,
    MessageError,
    Reading,
    Trigger,
    UnknownTrigger,
    decode,
    entity_id,
)

from .samples import assignment_changed, class_changed


def changed(event: ClassChanged | CourseAssignmentChanged, **members: object) -> bytes:
    body = json.loads(msgspec.json.encode(event)) | members
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


def test_a_class_event_survives_the_wire() -> None:
    event = class_changed()
    copy = decode(msgspec.json.encode(event))
    assert msgspec.structs.replace(event, payload=copy.payload) == copy
    assert bytes(copy.payload) == b'{"Id": 7}'
    assert copy.trigger is Trigger.CLASS
    assert entity_id(copy) == 7


def test_a_course_assignment_event_survives_the_wire() -> None:
    event = assignment_changed()
    copy = decode(memoryview(msgspec.json.encode(event)))
    assert msgspec.structs.replace(event, payload=copy.payload) == copy
    assert copy.trigger is Trigger.COURSE_ASSIGNMENT
    assert entity_id(copy) == 7


def test_the_members_of_a_message_are_named_as_documented() -> None:
    members = json.loads(msgspec.json.encode(class_changed()))
    assert list(members) == [
        "trigger", "id", "source", "status", "raw_status", "status_from", "received_at", "class", "payload",
    ]  # fmt: skip
    assert members["trigger"] == "class"
    assert members["received_at"] == "2026-03-01T12:00:00Z"
    assert members["class"]["start"] == "2026-03-01T12:00:00Z"


def test_what_could_not_be_read_is_told_and_absent_where_there_is_nothing_to_say() -> None:
    told = msgspec.structs.replace(class_changed(), reading=Reading(unread=("name",), assumed=("start",)))
    wire = msgspec.json.encode(told)
    assert json.loads(wire)["reading"] == {"unread": ["name"], "assumed": ["start"]}
    assert decode(wire).reading == told.reading
    assert decode(msgspec.json.encode(class_changed())).reading == Reading()


def test_a_message_may_come_without_the_payload() -> None:
    event = decode(changed(class_changed(), payload=...))
    assert bytes(event.payload) == b""
    assert "payload" not in json.loads(msgspec.json.encode(event))


def test_members_of_later_versions_are_ignored() -> None:
    assert decode(changed(class_changed(), weather="fine")).id == "id-1"


@pytest.mark.parametrize(
    ("event", "unknown"),
    [(class_changed(), ClassStatus.UNKNOWN), (assignment_changed(), CourseAssignmentStatus.UNKNOWN)],
)
def test_a_status_of_a_later_version_is_unknown_and_keeps_its_word(
    event: ClassChanged | CourseAssignmentChanged, unknown: str
) -> None:
    told = decode(changed(event, status="postponed", raw_status="Postponed"))
    untold = decode(changed(event, status="postponed", raw_status=None))
    assert (told.status, told.raw_status) == (unknown, "Postponed")
    assert (untold.status, untold.raw_status) == (unknown, "postponed")


def test_an_untold_status_has_no_word() -> None:
    event = decode(changed(class_changed(), status="unknown", raw_status=None))
    assert (event.status, event.raw_status) == (ClassStatus.UNKNOWN, None)


def test_a_trigger_of_a_later_version_is_named() -> None:
    body = changed(class_changed(), trigger="membership")
    with pytest.raises(UnknownTrigger, match="'membership'") as caught:
        decode(body)
    assert (caught.value.trigger, caught.value.body) == ("membership", body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (b"[]", "array"),
        (b"{}", "trigger"),
        (b"\xff", "malformed"),
        (b'{"trigger":"class","id":"\xff"}', "class"),
        (b"[" * 100_000, "no event"),
        (changed(class_changed(), id=5), "id"),
        (changed(class_changed(), id=...), "id"),
        (changed(class_changed(), status=5), "status"),
        (changed(class_changed(), received_at="2026-03-01T12:00:00"), "received_at"),
        (changed(assignment_changed(), status=5), "status"),
    ],
)
def test_what_is_no_event_is_malformed_and_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason) as caught:
        decode(body)
    assert isinstance(caught.value, MessageError)
    assert caught.value.body == body
