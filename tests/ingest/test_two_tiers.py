"""One table of what a sender may mean: each kind in several spellings, for both triggers, by both paths.

The first tier makes a body no event; anything else that cannot be read is None, and named.
"""

# ruff: noqa: E501 - a row of the table reads best on a line

import contextlib
import json
from datetime import UTC, datetime
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tms_events
from tms_bridge.errors import Undecodable
from tms_bridge.ingest import Decoded, Rules, decode, explain
from tms_bridge.ingest.members import json_value
from tms_bridge.ingest.plain import decode_plainly
from tms_bridge.ingest.tolerant import SWAPPED, decode_tolerantly
from tms_events import CourseAssignmentChanged, Trigger

from .sources import ASSIGNMENT, CLASS, NOON, event_of, message_of, rules

RULES: Final = {Trigger.CLASS: CLASS, Trigger.COURSE_ASSIGNMENT: ASSIGNMENT}
BOTH: Final = tuple(Trigger)
ONE_CLASS: Final = (Trigger.CLASS,)
ONE_ASSIGNMENT: Final = (Trigger.COURSE_ASSIGNMENT,)
PACIFIC: Final = '"TimeZoneId":"Pacific Standard Time"'
MARCH_20: Final = datetime(2026, 3, 20, 9, tzinfo=UTC)

Expected = dict[str, object]
Row = tuple[tuple[Trigger, ...], str, Expected]


def each(triggers: tuple[Trigger, ...], expected: Expected, *bodies: str) -> list[Row]:
    return [(triggers, body, expected) for body in bodies]


def start(told: str) -> str:
    return f'{{"Id":1,"Start":{told}}}'


UNSET = each(BOTH, {"start": None}, *map(start, (
    '"0001-01-01T00:00:00"', '"0001-01-01T00:00:00Z"', '"0001-01-01T00:00:00+14:00"', '"0001-01-01T00:00:00-08:00"',
    '"0001-01-01"', '"0001-01-01T08:00:00.0000000Z"', "0", "-1", "0.0", "-0", '"0"', '"-1"', "-62135596800",
    '"/Date(-62135596800000)/"', '"/Date(0)/"', '"/Date(-62135596800000-0500)/"', '"1970-01-01T00:00:00Z"',
    '"1970-01-01"', '"1970-01-01T01:00:00+01:00"', '"1969-12-31T19:00:00-05:00"', '"1900-01-01T00:00:00"', '""', "null",
)))  # fmt: skip
NUMBERS = [
    *each(ONE_CLASS, {"status": "cancelled", "confirmation_status_id": 2}, *(
        f'{{"Id":1,"ConfirmationStatusId":{told}}}' for told in ("2", "2.0", "2e0", "0.2E1", '"2"', '"2.0"', "20e-1", '" 2 "'))),
    *each(BOTH, {"id": 5010}, *(f'{{"Id":{told}}}' for told in ("5010", "5010.0", "5.01e3", '"5010"', '"5010.00"', "501E1"))),
    *each(BOTH, {"id": 1_795_000_000_000}, '{"Id":1.795e12}', '{"Id":"1.795e12"}'),
    *each(BOTH, {"course_id": 12}, *(f'{{"Id":1,"CourseId":{told}}}' for told in ("12.0", "1.2e1", '"12"', '{"Id":12,"Name":"Azure"}', '{"$value":12}'))),
    *each(BOTH, {"course_id": None, "unread": ("course_id",)}, *(
        f'{{"Id":1,"CourseId":{told}}}' for told in ("1.5", "1e19", "1e300", '"x"', "true", "[]", "{}", "9223372036854775808"))),
    *each(ONE_CLASS, {"status": "unknown", "raw_status": "2.5", "unread": ("status",)}, '{"Id":1,"ConfirmationStatusId":2.5}', '{"Id":1,"Status":2.5}'),
    *each(ONE_CLASS, {"status": "unknown", "raw_status": "-1"}, '{"Id":1,"Status":"-1"}', '{"Id":1,"Status":-1}'),
    *each(ONE_CLASS, {"status": "unknown", "raw_status": "0.7"}, '{"Id":1,"Status":"0.7"}'),
]  # fmt: skip
OBJECTS = [
    *each(ONE_CLASS, {"status": "rescheduled", "raw_status": "3"},
        '{"Id":1,"ConfirmationStatusId":3,"ConfirmationStatus":{"Id":3,"Name":"Rescheduled"}}',
        '{"Id":1,"ConfirmationStatusId":3,"ConfirmationStatus":{"Id":6,"Name":"Denied"}}',
        '{"Id":1,"ConfirmationStatusId":3,"ConfirmationStatus":{}}',
        '{"Id":1,"ConfirmationStatusId":3,"ConfirmationStatus":{"Id":3,"Name":"Denied"}}',
        '{"Id":1,"ConfirmationStatusId":3,"Status":[]}',
        '{"Id":1,"ConfirmationStatusId":3,"Status":true}',
        '{"Id":1,"ConfirmationStatus":{"Id":3}}',
        '{"Id":1,"ConfirmationStatus":{"$type":"Status, Tms","Id":3,"Name":"Umgeplant"}}'),
    *each(BOTH, {"status": "completed", "raw_status": "Completed"},
        '{"Id":1,"Status":"Completed","CompletionStatus":{"Id":30}}', '{"Id":1,"Status":{"Name":"Completed"}}',
        '{"Id":1,"Status":{"Id":99,"Name":"Completed"}}', '{"Id":1,"status":{"id":null,"name":"Completed"}}',
        '{"Id":1,"Status":{"$id":"2","Name":"Completed"}}'),
    *each(BOTH, {"status": "unknown", "raw_status": None, "unread": ("status",)}, *(
        f'{{"Id":1,"Status":{told}}}' for told in ("{}", "[]", "true", "false", '{"Colour":"red"}', '["Completed"]', '{"$ref":"1"}'))),
]  # fmt: skip
SIDES = [
    *each(ONE_CLASS, {"max_students": 20}, *(f'{{"Id":1,"MaxStudents":{told}}}' for told in ("20", "20.0", "2e1", '"20"', '" 20.0 "'))),
    *each(ONE_CLASS, {"max_students": None, "unread": ("max_students",)}, *(
        f'{{"Id":1,"MaxStudents":{told}}}' for told in ("20.5", '"twenty"', "true", "[20]", '{"Of":20}', '"1,000"'))),
    *each(ONE_CLASS, {"enabled": True}, *(f'{{"Id":1,"Enabled":{told}}}' for told in ("true", '"Yes"', '"TRUE"', "1", "1.0", '"on"', '"1"', '"y"'))),
    *each(ONE_CLASS, {"enabled": False}, *(f'{{"Id":1,"Enabled":{told}}}' for told in ("false", '"No"', '"False"', "0", '"off"', '"n"'))),
    *each(ONE_CLASS, {"enabled": None, "unread": ("enabled",)}, *(f'{{"Id":1,"Enabled":{told}}}' for told in ('"Perhaps"', "2", "-1", "{}", "[]"))),
    *each(ONE_CLASS, {"description": None, "unread": ("description",)}, *(
        f'{{"Id":1,"Description":{told}}}' for told in ("{}", "[]", "true", '{"Text":"x"}', '{"Name":true}'))),
    *each(ONE_CLASS, {"name": None, "unread": ("name",)}, '{"Id":1,"Name":"a","Name":"b"}', '{"Id":1,"Name":"a","Name":"a"}'),
    *each(BOTH, {"start": None, "unread": ("start",)}, *map(start, (
        '"3/1/2026 10:00:00 AM"', '"01.03.2026"', '"soon"', "true", "[]", "{}", "1333267200000", "1e12", "1e400", "1e99999", '"2026-02-30"',
        '"/Date(999999999999999999)/"', '"9999-12-31T23:59:59-05:00"', '"1 2 3"'))),
    *each(BOTH, {"start": MARCH_20}, *map(start, (
        '"2026-03-20T09:00:00Z"', '"2026-03-20T10:00:00+01:00"', '"2026-03-20T04:00:00.000-05:00"', "1773997200", '"1773997200"',
        "1.7739972e9", '"/Date(1773997200000)/"', '"/Date(1773997200000+0100)/"', '"Fri, 20 Mar 2026 09:00:00 GMT"', '{"$value":1773997200}'))),
    *each(ONE_CLASS, {"start": MARCH_20}, '{"Id":1,"Start":"soon","StartTime":1773997200}', '{"Id":1,"Start":"0001-01-01T00:00:00","StartDate":1773997200}'),
    *each(ONE_CLASS, {"instructor_ids": (4, 5)}, *(f'{{"Id":1,"InstructorIds":{told}}}' for told in (
        "[4,5]", '"4,5"', '"4; 5"', '["4","5.0"]', '"[4, 5]"', '[{"Id":4},{"Id":5,"Name":"x"}]', '"4|5"'))),
    *each(ONE_CLASS, {"instructor_ids": None, "unread": ("instructor_ids",)}, *(
        f'{{"Id":1,"InstructorIds":{told}}}' for told in ("true", '"Ada, Bob"', "[null]", "[4,null]", '[4,"x"]', "{}", '"4,,x"', "[[4]]"))),
]  # fmt: skip
NEWTONSOFT = [
    *each(ONE_CLASS, {"instructor_ids": (4, 5)}, *(f'{{"Id":1,"InstructorIds":{told}}}' for told in (
        '{"$id":"1","$values":[4,5]}', '{"$values":[4,5]}', '{"$type":"System.Int32[], mscorlib","$values":[4,5]}',
        '{"$values":["4","5"]}', '{"$id":"2","$values":[{"$id":"3","Id":4},{"$id":"4","Id":5}]}'))),
    *each(ONE_CLASS, {"instructor_ids": None, "unread": ("instructor_ids",)}, '{"Id":1,"InstructorIds":{"$ref":"2"}}'),
    *each(BOTH, {"id": 7, "status": "completed"},
        '{"$id":"1","Id":7,"Status":"Completed"}', '{"$type":"Tms.Model, Tms","Id":7,"Status":"Completed"}',
        '{"Id":7,"$id":"9","$ref":"4","Status":"Completed"}', '{"$id":"1","Results":{"$id":"2","$values":[{"$id":"3","Id":7,"Status":"Completed"}]}}',
        '{"$values":[{"Id":7,"Status":"Completed"}]}', '{"$status":"Denied","Id":7,"Status":"Completed"}'),
]  # fmt: skip
SHAPES = [
    *each(BOTH, {"id": 4, "status": "completed"},
        '[{"Id":4,"Status":"Completed"}]', ' [ {"Id":"4","Status":"completed"} ] ', '[[{"Id":4,"Status":"Completed"}]]',
        '[{"Results":[{"Id":4,"Status":"Completed"}]}]', '[{"Data":{"Id":4,"Status":"Completed"}}]'),
    *each(BOTH, {"id": 1, "status": "completed"}, *(json.dumps(text) for text in (
        '{"Id":1,"Status":"Completed"}', ' {"Id":1.0,"Status":"completed"} ', '[{"Id":1,"Status":"Completed"}]',
        '{"Data":{"Id":1,"Status":"Completed"}}', '\ufeff{"Id":1,"Status":"Completed"}'))),
    *each(BOTH, {"id": 7, "status": "completed"}, *(envelope % '{"Id":7,"Status":"Completed"}' for envelope in (
        '{"id":"9f0c2c1e-0000-4000-8000-0123456789ab","type":"changed","data":%s}', '{"Id":"evt_1","Data":%s}',
        '{"id":true,"Results":[%s]}', '{"ID":"9f0c","specversion":"1.0","data":%s}', '{"id":{"v":1},"data":%s}',
        '{"Id":7,"Data":%s}', '{"id":"x","data":{"id":"y","data":%s}}', '{"Id":"","Data":%s}'))),
    *each(BOTH, {"status": "unknown", "raw_status": None, "id": 5}, *(
        f'{{"Status":{told},"Id":5}}' for told in ('0,"Error":null', '10,"error":"late"', '"Completed","Error":null', '0,"Results":null', '"0","ERROR":""'))),
    *each(ONE_CLASS, {"status": "denied", "id": 5}, '{"Status":0,"Error":null,"Id":5,"ConfirmationStatusId":6}'),
]  # fmt: skip
DATES = [
    *each(BOTH, {"start": MARCH_20, "assumed": ("start",)}, *map(start, (
        '"2026-03-20T09:00:00"', '"2026-03-20 09:00:00"', '"2026-03-20T09:00"', '"2026-03-20T09:00:00.0000000"', '" 2026-03-20T09:00:00 "'))),
    *each(BOTH, {"start": datetime(2026, 3, 20, tzinfo=UTC), "assumed": ("start",), "days": ("start",)}, *map(start, (
        '"2026-03-20"', '" 2026-03-20 "', '"2026-W12-5"', '{"$value":"2026-03-20"}'))),
    *each(ONE_CLASS, {"start": datetime(2026, 3, 20, 16, tzinfo=UTC), "assumed": ("start",), "time_zone": "America/Los_Angeles"}, *(
        f'{{"Id":1,"Start":"2026-03-20T09:00:00","TimeZoneId":{zone}}}' for zone in (
            '"Pacific Standard Time"', '"America/Los_Angeles"', '"pacific standard time"', '" Pacific Standard Time "', '{"Name":"Pacific Standard Time"}'))),
    *each(ONE_CLASS, {"start": datetime(2026, 3, 20, 7, tzinfo=UTC), "assumed": ("start",), "days": ("start",)}, f'{{"Id":1,"StartDate":"2026-03-20",{PACIFIC}}}'),
    *each(ONE_CLASS, {"start": MARCH_20, "time_zone": "America/Los_Angeles"}, f'{{"Id":1,"Start":"2026-03-20T09:00:00Z",{PACIFIC}}}', f'{{"Id":1,{PACIFIC},"Start":1773997200}}'),
    *each(ONE_CLASS, {"start": MARCH_20, "assumed": ("start",), "unread": ("time_zone",), "time_zone": None}, *(
        f'{{"Id":1,"Start":"2026-03-20T09:00:00","TimeZoneId":"{zone}"}}' for zone in ("Mars/Olympus", "(UTC-08:00) Pacific Time", "5", "../etc/passwd", "x" * 5000))),
    *(row for name, zone in (
        ("UTC", "Etc/UTC"), ("W. Europe Standard Time", "Europe/Berlin"), ("Eastern Standard Time", "America/New_York"),
        ("Asia/Kolkata", "Asia/Kolkata"), ("GMT Standard Time", "Europe/London"), ("", None), (" ", None))
      for row in each(ONE_CLASS, {"time_zone": zone}, f'{{"Id":1,"TimeZoneId":"{name}"}}')),
]  # fmt: skip
TABLE: Final = [*UNSET, *NUMBERS, *OBJECTS, *SIDES, *NEWTONSOFT, *SHAPES, *DATES]
CASES: Final = [(trigger, body, expected) for triggers, body, expected in TABLE for trigger in triggers]

SWAPPED_CLASS: Final = (
    '{"Id":1,"UserId":2,"CourseId":3,"Complete":1773997200,"Status":"Completed"}',
    '{"Id":1,"UserId":2,"ClubMembershipId":null,"Start":null}',
    '{"CourseAssignmentId":1,"UserId":2,"Status":"Completed"}',
    '{"CourseAssignment":{"Id":1,"UserId":2,"Status":"Completed"}}',
    '{"Results":[{"CourseAssignment":{"Id":1,"UserId":2}}]}',
    '{"Data":{"id":1,"user_id":2,"expires":"2026-03-01"}}',
)
SWAPPED_ASSIGNMENT: Final = (
    '{"Id":1,"Name":"Azure","ConfirmationStatusId":7,"Start":1773997200}',
    '{"Id":1,"MinStudents":null,"MaxStudents":null,"Status":"Completed"}',
    '{"ClassId":1,"ConfirmationStatusId":7}',
    '{"Class":{"Id":1,"Name":"Azure","ConfirmationStatusId":7}}',
    '{"Results":[{"Id":1,"name":"Azure","instructor_ids":[4]}]}',
    '[{"Id":1,"Name":"Azure","TimeZoneId":"UTC"}]',
)
NO_EVENT: Final = [
    *((trigger, body, why) for trigger in BOTH for body, why in (
        (b"[]", "the body holds 0 elements, where exactly one is expected"),
        (b'[{"Id":1},{"Id":2}]', "the body holds 2 elements, where exactly one is expected"),
        (b'{"$values":[{"Id":1},{"Id":2},{"Id":3}]}', "/$values holds 3 elements, where exactly one is expected"),
        (b"[7]", "/0 is a number, where an object is expected"),
        (b'{"Id":1,"Id":1}', "/Id occurs 2 times; nobody can tell which is meant"),
        (b'{"Id":1,"Status":"Completed","Status":"Completed"}', "/Status occurs 2 times; nobody can tell which is meant"),
        (b'{"Id":1,"Status":"Completed","StatusName":"Cancelled"}', "/Status and /StatusName tell different statuses; say which counts with"),
        (b'{"Id":1.5}', "the id at /Id is 1.5, which is no whole number of at most 64 bits"),
        (b"Id=1&Status=Completed", "the body is form-encoded"), (b"payload=%7B%22Id%22%3A1%7D", "the body is form-encoded"),
        (b'payload={"Id":1}', "the body is form-encoded"), (b"a+b=c", "the body is form-encoded"), (b"class[Id]=7&class[Status]=x", "the body is form-encoded"),
        ('{"Id":1}'.encode("utf-16"), "the body is encoded in UTF-16"), ('{"Id":1}'.encode("utf-16-le"), "the body is encoded in UTF-16"),
        ('{"Id":1}'.encode("utf-16-be"), "the body is encoded in UTF-16"), ('[{"Id":1}]'.encode("utf-16-le"), "the body is encoded in UTF-16"),
        ('{"Name":"ü"}'.encode("utf-16"), "the body is encoded in UTF-16"), ('{"Id":1}'.encode("utf-32"), "the body is encoded in UTF-32"),
        ('{"Name":"Zürich"}'.encode("cp1252"), "the body is not UTF-8: byte 10 is wrong (invalid start byte); it may be Windows-1252"),
        (b"<Class><Id>1</Id></Class>", "the body is XML or HTML"), (b"%7B%22Id%22%3A1%7D", "the body is percent-encoded"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "the body is compressed with gzip"), (b"eyJJZCI6MX0=", "the body is encoded in Base64"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--', "the body is form data"),
        (json.dumps(json.dumps('{"Id":1}')).encode(), "the body is JSON that was encoded more than twice"),
        (json.dumps("hello").encode(), "the body is a string, where an object is expected"),
        (json.dumps('{"Id":1').encode(), "the body is not JSON: "),
        (b'{"Id":1,"x":' + b"9" * 5000 + b"}", f"the number {'9' * 57}… is beyond what ordinary JSON readers can read"),
        (b'{"Id":1,"x":[-' + b"9" * 4300 + b"]}", "the number -"),
    )),
    *((Trigger.CLASS, body.encode(), SWAPPED) for body in SWAPPED_CLASS),
    *((Trigger.COURSE_ASSIGNMENT, body.encode(), SWAPPED) for body in SWAPPED_ASSIGNMENT),
]  # fmt: skip


def told(decoded: Decoded) -> Expected:
    reading = {name: getattr(decoded.reading, name) for name in ("unread", "assumed", "days")}
    entity = msgspec.structs.asdict(decoded.entity)
    return entity | reading | {"status": decoded.status, "raw_status": decoded.raw_status}


@pytest.mark.parametrize(("trigger", "body", "expected"), CASES)
def test_what_a_sender_may_mean_is_an_event(trigger: Trigger, body: str, expected: Expected) -> None:
    value = json_value(body.encode())
    tolerant = decode_tolerantly(value, RULES[trigger])
    plain = decode_plainly(value, trigger)
    silent = {"unread": (), "assumed": (), "days": ()}
    wanted = silent | expected
    assert {name: told(tolerant)[name] for name in wanted} == wanted
    assert plain is None or plain == tolerant
    assert tms_events.decode(message_of(body.encode(), RULES[trigger]).body).reading == tolerant.reading


@pytest.mark.parametrize(("trigger", "body", "why"), NO_EVENT)
def test_what_nobody_can_tell_is_no_event_and_says_why(trigger: Trigger, body: bytes, why: str) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(body, RULES[trigger], NOON)
    assert str(caught.value)[: len(why)] == why
    assert explain(body, RULES[trigger], NOON).reason == str(caught.value)
    with contextlib.suppress(Undecodable):
        assert decode_plainly(json_value(body), trigger) is None


@pytest.mark.parametrize(
    ("trigger", "body"),
    [
        (Trigger.COURSE_ASSIGNMENT, '{"Id":1,"Status":"Started","ClassId":5,"Class":{"Id":5,"Name":"Azure","MaxStudents":20}}'),
        (Trigger.COURSE_ASSIGNMENT, '{"Id":1,"UserId":2,"Name":"Ada","CompanyId":3,"OrganizationId":4}'),
        (Trigger.CLASS, '{"Id":1,"Status":"Denied","UserId":2}'),
        (Trigger.CLASS, '{"Id":1,"Name":"Azure","UserId":2,"Complete":null}'),
        (Trigger.CLASS, '{"Id":1,"Start":1,"Status":"Completed","CourseId":7,"ExternalId":"x"}'),
    ],
)  # fmt: skip
def test_a_body_that_may_be_of_its_own_trigger_is_taken_for_it(trigger: Trigger, body: str) -> None:
    assert decode(body.encode(), RULES[trigger], NOON).entity.id == 1


def test_who_says_where_the_fields_lie_is_not_doubted() -> None:
    body = b'{"Id":1,"UserId":2,"Complete":1,"State":3}'
    assert decode(body, rules(Trigger.CLASS, {"status": "/State"}), NOON).status == "rescheduled"


@pytest.mark.parametrize("marks", [b"\xef\xbb\xbf" * 2, b"\xef\xbb\xbf \xef\xbb\xbf\r\n", b" \xef\xbb\xbf"])
def test_any_number_of_byte_order_marks_is_one(marks: bytes) -> None:
    assert tms_events.payload_bytes(message_of(marks + b'{"Id":7}').body) == b'{"Id":7}'


def test_every_moment_is_told_in_utc_and_ends_in_z() -> None:
    event = event_of(
        b'{"Id":1,"Start":"2026-03-20T10:00:00+01:00","Expire":"2026-03-20","Complete":5}', ASSIGNMENT
    )
    assert isinstance(event, CourseAssignmentChanged)
    wire = msgspec.json.decode(msgspec.json.encode(event.course_assignment))
    assert {name: wire[name] for name in ("start", "expire", "complete")} == {
        "start": "2026-03-20T09:00:00Z", "expire": "2026-03-20T00:00:00Z", "complete": "1970-01-01T00:00:05Z"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"Id":1,"Complete":"0001-01-01T00:00:00","Expire":0,"Start":-1}', "unknown"),
        ('{"Id":1,"Complete":"/Date(-62135596800000)/","Start":1}', "started"),
        ('{"Id":1,"Complete":"0001-01-01T00:00:00+14:00","Expire":1}', "expired"),
        ('{"Id":1,"Complete":"soon","Expire":1,"Start":1}', "unknown"),
        ('{"Id":1,"Expire":{},"Start":1}', "unknown"),
        ('{"Id":1,"Status":true,"Complete":1}', "unknown"),
        ('{"Id":1,"Status":{},"Complete":1}', "unknown"),
    ],
)  # fmt: skip
def test_nothing_is_derived_from_what_is_unset_or_unread(body: str, status: str) -> None:
    deriving = rules(Trigger.COURSE_ASSIGNMENT, derive_status=True)
    assert decode(body.encode(), deriving, NOON).status == status


def test_a_source_may_keep_the_payload_out_of_its_messages() -> None:
    by = msgspec.structs.replace(CLASS, omits_payload=True)
    message = message_of(b'{"Id":7,"Name":{}}', by)
    assert "payload" not in msgspec.json.decode(message.body)
    event = tms_events.decode(message.body)
    assert (tms_events.entity_id(event), event.reading.unread) == (7, ("name",))


SIDE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
OWN: Final = {
    Trigger.CLASS: ("Name", "Enabled", "Start", "EndDate", "TimeZoneId", "InstructorIds", "MaxStudents", "New"),
    Trigger.COURSE_ASSIGNMENT: ("UserId", "Start", "Complete", "ExpireDate", "ExternalId", "New"),
}  # fmt: skip
WORDS: Final = {Trigger.CLASS: "ConfirmationStatusId", Trigger.COURSE_ASSIGNMENT: "Status"}


def _encodable(value: object) -> bool:
    with contextlib.suppress(UnicodeEncodeError, msgspec.DecodeError):
        msgspec.json.decode(json.dumps(value))
        return True
    return False


@given(
    st.data(),
    st.sampled_from(BOTH),
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.integers(0, 9) | st.text(max_size=9),
)
def test_no_body_whose_id_and_status_are_readable_is_refused(
    data: st.DataObject, trigger: Trigger, number: int, status: int | str | None
) -> None:
    sides = data.draw(st.dictionaries(st.sampled_from(OWN[trigger]), SIDE, max_size=6).filter(_encodable))
    body = json.dumps({"Id": number, WORDS[trigger]: status, **sides}).encode()
    by: Rules = RULES[trigger]
    if not _encodable(status):
        return
    event = tms_events.decode(message_of(body, by).body)
    assert tms_events.entity_id(event) == number
    plain = decode_plainly(body, trigger)
    assert plain is None or plain == decode_tolerantly(body, by)


def test_a_moment_in_the_hour_that_summer_time_skips_is_still_a_moment() -> None:
    event = event_of(f'{{"Id":1,"Start":"2026-03-08T02:30:00",{PACIFIC}}}'.encode())
    assert isinstance(event, tms_events.ClassChanged)
    assert event.class_.start == datetime(2026, 3, 8, 10, 30, tzinfo=UTC)
