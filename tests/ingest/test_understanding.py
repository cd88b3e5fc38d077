# ruff: noqa: E501 - a body reads best on one line

import hashlib

import pytest

from tms_bridge.errors import Undecodable
from tms_bridge.ingest import decode, digest, quarantined, remark, reread
from tms_bridge.message import Kind, Message

from .sources import ASSIGNMENT, CLASS, NOON, STAMP, body_of, json_of, message_of


def test_an_event_becomes_a_message_with_all_that_the_wire_needs() -> None:
    message = message_of(body_of(Id=7, ConfirmationStatusId=1))
    assert message == Message(
        id=STAMP.id,
        kind=Kind.EVENT,
        source="contoso",
        trigger="class",
        status="guaranteed_to_run",
        routing_key="tms.class.guaranteed_to_run",
        entity="7",
        received_at_us=1_772_366_400_123_456,
        digest=STAMP.digest,
        traceparent=STAMP.traceparent,
        body=message.body,
    )


def test_the_message_body_of_a_class_holds_every_member() -> None:
    assert json_of(message_of(b'{"Id": 7, "Status": "Denied", "Start": 5, "New": 1.50}')) == {
        "trigger": "class",
        "id": STAMP.id,
        "source": "contoso",
        "status": "denied",
        "raw_status": "Denied",
        "status_from": "payload",
        "received_at": "2026-03-01T12:00:00.123456Z",
        "class": {
            "id": 7,
            "external_id": None,
            "name": None,
            "description": None,
            "html_description": None,
            "enabled": None,
            "confirmation_status_id": 6,
            "course_id": None,
            "organization_id": None,
            "organization_name": None,
            "company_id": None,
            "delivery_type_id": None,
            "virtual_meeting_host_id": None,
            "custom_virtual_classroom_url": None,
            "primary_instructor_id": None,
            "instructor_ids": None,
            "primary_classroom_id": None,
            "time_zone_id": None,
            "min_students": None,
            "max_students": None,
            "allow_self_enrollment": None,
            "is_public": None,
            "disable_labs": None,
            "start": "1970-01-01T00:00:05Z",
            "end": None,
            "time_zone": None,
        },
        "payload": {"Id": 7, "Status": "Denied", "Start": 5, "New": 1.5},
    }


def test_the_message_body_of_a_course_assignment_holds_every_member() -> None:
    body = b'{"CourseAssignmentId": "7", "UserId": "8", "ExternalId": 9.50, "Complete": "2026-03-01"}'
    assert json_of(message_of(body, ASSIGNMENT)) == {
        "trigger": "course_assignment",
        "id": STAMP.id,
        "source": "contoso",
        "status": "unknown",
        "raw_status": None,
        "status_from": "payload",
        "received_at": "2026-03-01T12:00:00.123456Z",
        "course_assignment": {
            "id": 7,
            "external_id": "9.50",
            "course_id": None,
            "user_id": 8,
            "club_membership_id": None,
            "expire": None,
            "target_completion": None,
            "start": None,
            "complete": "2026-03-01T00:00:00Z",
        },
        "reading": {"assumed": ["complete"], "days": ["complete"]},
        "payload": {
            "CourseAssignmentId": "7",
            "UserId": "8",
            "ExternalId": 9.5,
            "Complete": "2026-03-01",
        },
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{ "Name" : "\\u00e4\\/" ,\r\n\t"Id":7,"x":{"b":1,"a":2,"b":3}, "n":[1.10,1E5,-0,12345678901234567890] }',
        '{"Id": 7, "Name": "Zürich 😀"}'.encode(),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \n"])
@pytest.mark.parametrize("after", [b"", b"\r\n "])
def test_the_payload_is_the_senders_value_byte_for_byte(body: bytes, before: bytes, after: bytes) -> None:
    assert message_of(before + body + after).body.endswith(b',"payload":' + body + b"}")


def test_a_digest_is_blake2b_of_source_trigger_and_body() -> None:
    expected = hashlib.blake2b(b"contoso\0class\0{}", digest_size=32).hexdigest()
    assert digest("contoso", "class", b"{}") == expected


def test_the_parts_of_a_digest_cannot_run_into_each_other() -> None:
    assert digest("a", "class", b"b") != digest("a", "clas", b"s\0b")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"Id":1,"Status":"Denied"}', ""),
        (b'{"Id":1,"Status":"Later"}', "a status that is not known; raw_status: 'Later'"),
        (
            b'{"Id":1,"Name":{},"Start":"soon"}',
            "a status that is not known; raw_status: None; not read, though they hold a value: name, start",
        ),
    ],
)
def test_what_was_not_understood_in_full_is_remarked(body: bytes, said: str) -> None:
    assert said == remark(decode(body, CLASS, NOON))


def test_a_body_is_read_again_by_the_rules_of_now_or_says_why_not() -> None:
    message = quarantined(b'{"Id":1,"UserId":2}', CLASS, STAMP, Undecodable("odd"))
    now = {("contoso", "class"): CLASS, ("contoso", "course_assignment"): ASSIGNMENT}
    again = reread(message, now, "course_assignment")
    assert (STAMP.id, "course_assignment", "1") == (again.id, again.trigger, again.entity)
    assert again.digest == digest("contoso", "course_assignment", message.body)
    with pytest.raises(Undecodable, match='its source "contoso" is not configured any more'):
        reread(message, {})
