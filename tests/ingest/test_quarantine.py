"""What cannot be an event, and the reason that a person reads."""

# ruff: noqa: E501 - a table of bodies and reasons reads best with a row on a line

import json

import pytest

from tms_bridge.errors import Undecodable
from tms_bridge.ingest import Rules, decode, quarantined
from tms_bridge.message import Kind, Message

from .sources import ASSIGNMENT, CLASS, NOON, STAMP, body_of, message_of


def reason(body: bytes, by: Rules = CLASS) -> str:
    with pytest.raises(Undecodable) as caught:
        decode(body, by, NOON)
    return str(caught.value)


HALF = 'a string has half a surrogate pair (such as "\\ud800"), which is no character'
DEEP = b'{"Id": 1, "x": ' + b"[" * 60 + b"]" * 60 + b"}"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the body is empty"),
        (b" \r\n\t", "the body is empty"),
        (b"\xef\xbb\xbf", "the body is empty"),
        (b"hello", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"Id": 1', "the body is not JSON: Expecting ',' delimiter: line 1 column 9 (char 8)"),
        (b'{"Id": 1} {}', "the body is not JSON: Extra data: line 1 column 11 (char 10)"),
        (b'{"Id": 1, "x": "\\q"}', "the body is not JSON: Invalid \\escape: line 1 column 17 (char 16)"),
        (b'{"Id": 1, "x": NaN}', "NaN is not a JSON number"),
        (b'{"Id": 1, "x": [-Infinity]}', "-Infinity is not a JSON number"),
        (b'{"Id": 1, "x": "\xff"}', "the body is not UTF-8: byte 16 is wrong (invalid start byte); it may be Windows-1252 or ISO 8859-1"),
        (b' {"Id": 1, "\xc3": 1}', "the body is not UTF-8: byte 12 is wrong (invalid continuation byte); it may be Windows-1252 or ISO 8859-1"),
        (b'{"Id": 1, "x": "\xed\xa0\x80"}', "the body is not UTF-8: byte 16 is wrong (invalid continuation byte); it may be Windows-1252 or ISO 8859-1"),
        (b"Id=1", "the body is form-encoded (application/x-www-form-urlencoded), where JSON in UTF-8 is expected"),
        (b"null", "the body is null, where an object is expected"),
        (b"true", "the body is true or false, where an object is expected"),
        (b"7", "the body is a number, where an object is expected"),
        (b'"x"', "the body is a string, where an object is expected"),
        (DEEP, "objects or arrays are nested more than 60 deep"),
        (b"[" * 200_000, "objects or arrays are nested more than 60 deep"),
        (b'{"a":' * 100_000, "objects or arrays are nested more than 60 deep"),
        (b"{}", "the body has no Id or ClassId; its members are: none"),
        (b'{"Id": null, "Name": 1}', "the body has no Id or ClassId; its members are: Id, Name"),
        (b'{"Id": ""}', "the body has no Id or ClassId; its members are: Id"),
        (b'{"Class": "Azure"}', "the body has no Id or ClassId; its members are: Class"),
        (b'{"CourseAssignment": {"Id": 1}}', "the body has no Id or ClassId; its members are: CourseAssignment"),
        (b'{"Class": {"Name": 1}}', "/Class has no Id or ClassId; its members are: Name"),
        (b'{"Results": []}', "/Results holds 0 elements, where exactly one is expected"),
        (b'{"Results": [{"Id":1},{"Id":2}]}', "/Results holds 2 elements, where exactly one is expected"),
        (b'{"Data": [5]}', "/Data/0 is a number, where an object is expected"),
        (b'{"Data": {"Data": {"Data": {"Data": {"Data": {"Id": 1}}}}}}', "more than 4 wrappers lie around the class"),
        (b'{"Class": {"Id": 1}, "Class": {"Id": 1}}', "/Class occurs 2 times; nobody can tell which is meant"),
        (b'{"Id": true}', "the id at /Id is true, which is not a whole number"),
        (b'{"Id": [1]}', "the id at /Id is an array, which is not a whole number"),
        (b'{"Id": {}}', "the id at /Id is an object, which is not a whole number"),
        (b'{"Id": 1.5}', "the id at /Id is 1.5, which is not a whole number of at most 64 bits"),
        (b'{"Id": 1e300}', "the id at /Id is 1e300, which is not a whole number of at most 64 bits"),
        (b'{"Id": 1e400}', "the id at /Id is 1e400, which is not a whole number of at most 64 bits"),
        (b'{"Id": "x"}', "the id at /Id is a string, which is not a whole number of at most 64 bits"),
        (b'{"Id": "1_0"}', "the id at /Id is a string, which is not a whole number of at most 64 bits"),
        (
            b'{"Id": 9223372036854775808}',
            "the id at /Id is 9223372036854775808, which is not a whole number of at most 64 bits",
        ),
        (
            b'{"Id": -9223372036854775809}',
            "the id at /Id is -9223372036854775809, which is not a whole number of at most 64 bits",
        ),
        (
            b'{"Id": ' + b"9" * 5000 + b"}",
            f"the number {'9' * 57}… is beyond what ordinary JSON readers can read",
        ),
        (b'{"Id": "\\ud800"}', HALF),
        (b'{"Id": 1, "Id": 1}', "/Id occurs 2 times; nobody can tell which is meant"),
        (b'{"Id": 1, "\\u0049d": 2}', "/Id occurs 2 times; nobody can tell which is meant"),
        (b'{"Id":1,"Status":1,"Status":2}', "/Status occurs 2 times; nobody can tell which is meant"),
        (b'{"Id": 1, "ClassId": 2}', "/Id and /ClassId are different ids, so nobody can tell which is meant"),
        (b'{"Id": 1, "id": 2}', "/Id and /id are different ids, so nobody can tell which is meant"),
        (
            b'{"Id": 1, "Status": "\\ud800"}',
            HALF,
        ),
        (
            b'{"Id": 1, "ConfirmationStatusId": 1, "Status": "Denied"}',
            (
                "/ConfirmationStatusId and /Status give different statuses; "
                "say which counts with [sources.NAME.fields.class] status = a JSON Pointer"
            ),
        ),
        (
            b'{"Id": 1, "Class": {"Id": 2}}',
            (
                "the body itself and /Class have different ids, so that either could be the class; "
                "say which with [sources.NAME.fields.class] id = a JSON Pointer"
            ),
        ),
        (
            b'{"Data": {"Id": 1, "Results": [{"ClassId": 2}]}}',
            (
                "/Data and /Data/Results/0 have different ids, so that either could be the class; "
                "say which with [sources.NAME.fields.class] id = a JSON Pointer"
            ),
        ),
        (b'{"Id": 1, "x": ["\\udc00\\ud800"]}', HALF),
        (b'{"Id": 1, "\\ud800": 5}', HALF),
        (b'{"Id": 1, "Name": "\\udc00x"}', HALF),
    ],
)  # fmt: skip
def test_what_is_no_event_says_why(body: bytes, why: str) -> None:
    assert reason(body) == why


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"ClassId": 1}', "the body has no Id or CourseAssignmentId; its members are: ClassId"),
    ],
)  # fmt: skip
def test_what_is_no_course_assignment_event_says_why(body: bytes, why: str) -> None:
    assert reason(body, ASSIGNMENT) == why


def test_a_reason_stays_short_whatever_the_body_holds() -> None:
    assert len(reason(body_of(Id="x" * 100_000))) < 200
    assert len(reason(json.dumps({"n" * 100_000: 1}).encode())) < 250


@pytest.mark.parametrize(
    "body",
    [
        b'{"Id": 1, "x": ' + b"[" * 59 + b"]" * 59 + b"}",
        b'{"Id": 1, "x": [' + b"[],{}," * 5000 + b"[]]}",
        b'{"Id": 1, "x": "' + b"[{" * 5000 + b'\\""}',
        b'{"Id": 1, "x": 1e400, "y": [1, 1.50, -0], "z": "\\ud83d\\ude00", "x": 2}',
        b'{"Id": 1, "Other": {"Id": 2, "Id": 3, "Status": []}, "Data": [1, 2], "Class": null}',
        b'{"ID": 1, "ClassId": "1", "class_id": 1}',
        b'{"Id": 1, "Status": "Denied", "ConfirmationStatusId": 6}',
        b'{"Id": 1, "Status": "Active", "ConfirmationStatusId": 6}',
        b'{"Id": 1, "Start": "2026-03-01", "StartDate": "2026-03-02", "StartTime": []}',
    ],
)
def test_what_no_field_needs_passes_untouched(body: bytes) -> None:
    message = message_of(body)
    assert message.body.endswith(b'"payload":' + body + b"}")


@pytest.mark.parametrize("end", [b"", b"\\"])
def test_a_string_without_end_takes_no_longer_than_any_other_body(end: bytes) -> None:
    # A quadratic search would take minutes here.
    body = b"[" * 61 + b'"' + b'\\"' * 120_000 + end
    assert reason(body) == "objects or arrays are nested more than 60 deep"


def test_a_quarantined_body_is_kept_as_it_came() -> None:
    body = b"\xef\xbb\xbf{\xff"
    assert quarantined(body, CLASS, STAMP, Undecodable("no JSON")) == Message(
        id=STAMP.id,
        kind=Kind.QUARANTINE,
        source="contoso",
        trigger="class",
        status="",
        routing_key="",
        entity="",
        received_at_us=STAMP.received_at_us,
        digest=STAMP.digest,
        traceparent=STAMP.traceparent,
        body=body,
        reason="no JSON",
    )
