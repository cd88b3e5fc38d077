"""One table of what a sender may mean: each kind in several spellings, for both triggers, by both paths.

The first tier makes a body no event; anything else that cannot be read is None, and named.
"""

# ruff: noqa: E501 - a row of the table reads best on a line

import contextlib
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tms_events
from tms_bridge.errors import Undecodable
from tms_bridge.ingest import Decoded, Rules, decode, explain
from tms_bridge.ingest.plain import decode_plainly, json_value
from tms_bridge.ingest.tolerant import decode_tolerantly
from tms_events import CourseAssignmentChanged, Trigger

from .cases import CASES, NO_EVENT, PACIFIC, Expected
from .sources import ASSIGNMENT, CLASS, NOON, event_of, message_of, rules

RULES: Final = {Trigger.CLASS: CLASS, Trigger.COURSE_ASSIGNMENT: ASSIGNMENT}
FEWEST: Final = 5


def told(decoded: Decoded) -> Expected:
    reading = {name: getattr(decoded.reading, name) for name in ("unread", "assumed", "days")}
    entity = msgspec.structs.asdict(decoded.entity)
    return entity | reading | {"status": decoded.status, "raw_status": decoded.raw_status}


def test_each_kind_is_tried_in_five_spellings_for_each_trigger_that_can_have_it() -> None:
    spellings = Counter({(kind, trigger, body) for kind, trigger, body, _ in [*CASES, *NO_EVENT]})
    of_kind = Counter((kind, trigger) for kind, trigger, _ in spellings)
    of_row = Counter((kind.partition(":")[0], trigger) for kind, trigger, _ in spellings)
    assert {} == {one: count for one, count in of_kind.items() if count < FEWEST}
    rows = {row for row, _ in of_row}
    assert [] == [(row, trigger) for row in rows for trigger in Trigger if of_row[row, trigger] < FEWEST]


@pytest.mark.parametrize(("trigger", "body", "expected"), [case[1:] for case in CASES])
def test_what_a_sender_may_mean_is_an_event(trigger: Trigger, body: str, expected: Expected) -> None:
    value = json_value(body.encode())
    tolerant = decode_tolerantly(value, RULES[trigger])
    plain = decode_plainly(value, trigger)
    silent = {"unread": (), "assumed": (), "days": ()}
    wanted = silent | expected
    assert {name: told(tolerant)[name] for name in wanted} == wanted
    assert plain is None or plain == tolerant
    assert tms_events.decode(message_of(body.encode(), RULES[trigger]).body).reading == tolerant.reading


@pytest.mark.parametrize(("trigger", "body", "why"), [case[1:] for case in NO_EVENT])
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
    ("status", "bodies"),
    [
        ("unknown", [
            '{"Id":1,"Complete":"0001-01-01T00:00:00","Expire":0,"Start":-1}', '{"Id":1,"Complete":"/Date(-62135596800000)/"}',
            '{"Id":1,"Complete":0,"Expire":"0001-01-01","Start":"1970-01-01T00:00:00Z"}', '{"Id":1,"Complete":"0001-01-01T00:00:00+14:00"}',
            '{"Id":1,"Start":"0001-01-01T00:00:00-08:00"}', '{"Id":1,"Expire":"/Date(0)/"}', '{"Id":1,"Completed":"","Expires":null}',
        ]),
        ("started", [
            '{"Id":1,"Complete":"/Date(-62135596800000)/","Start":1}', '{"Id":1,"Complete":0,"Start":1}', '{"Id":1,"Expire":0,"Start":1}',
            '{"Id":1,"Complete":"0001-01-01","Expire":-1,"Started":"2026-01-01"}', '{"Id":1,"Complete":null,"StartDate":1.0}',
        ]),
        ("expired", [
            '{"Id":1,"Complete":"0001-01-01T00:00:00+14:00","Expire":1}', '{"Id":1,"Complete":0,"Expire":1,"Start":1}',
            '{"Id":1,"Complete":"","Expires":"2026-01-01"}', '{"Id":1,"Complete":"1970-01-01","ExpireDate":1}', '{"Id":1,"Complete":-1,"ExpirationDate":"1"}',
        ]),
        ("unknown", [
            '{"Id":1,"Complete":"soon","Expire":1,"Start":1}', '{"Id":1,"Expire":{},"Start":1}', '{"Id":1,"Status":true,"Complete":1}',
            '{"Id":1,"Status":{},"Complete":1}', '{"Id":1,"Status":["Completed"],"Complete":1}', '{"Id":1,"Complete":"3/1/2026","Start":1}',
        ]),
    ],
)  # fmt: skip
def test_nothing_is_derived_from_what_is_unset_or_unread(status: str, bodies: list[str]) -> None:
    deriving = rules(Trigger.COURSE_ASSIGNMENT, derive_status=True)
    for body in bodies:
        assert (body, decode(body.encode(), deriving, NOON).status) == (body, status)


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize(
    ("pointer", "body"),
    [
        ("/0/Id", '[{"Id":4,"Status":"Completed"}]'), ("/0/Id", '[{"Id":"4","status":"completed"}, null]'),
        ("/0/Id", '[{"$id":"1","Id":4.0,"Status":"Completed"}, {"Id":9}]'), ("/0/Class/Id", '[{"Class":{"Id":4,"Status":"Completed"}}]'),
        ("/$values/0/Id", '{"$values":[{"Id":4,"Status":"Completed"}]}'), ("/1/Key", '[0,{"Key":4e0,"Status":"Completed"}]'),
    ],
)  # fmt: skip
def test_a_pointer_finds_the_one_in_a_list(trigger: Trigger, pointer: str, body: str) -> None:
    decoded = decode(body.encode(), rules(trigger, {"id": pointer}), NOON)
    assert (decoded.entity.id, decoded.status) == (4, "completed")


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
    st.sampled_from(list(Trigger)),
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
