"""What holds of every body, sought by hypothesis."""

# ruff: noqa: E501 - a body reads best on one line

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tms_events
from tms_bridge.errors import Undecodable
from tms_bridge.ingest import decode, digest, explain
from tms_bridge.ingest.fields import FIELDS, ID, STATUS_ALIASES, WRAPPERS, fold
from tms_bridge.ingest.plain import PlainClass, PlainCourseAssignment, decode_plainly, json_value
from tms_bridge.ingest.tolerant import decode_tolerantly
from tms_events import Trigger

from .sources import ASSIGNMENT, CLASS, NOON, message_of

RULES = {Trigger.CLASS: CLASS, Trigger.COURSE_ASSIGNMENT: ASSIGNMENT}
READ = {
    *ID[Trigger.CLASS].aliases,
    *STATUS_ALIASES[Trigger.CLASS],
    *WRAPPERS[Trigger.CLASS],
    *(alias for field in FIELDS[Trigger.CLASS] for alias in field.aliases),
}
NAMES = [
    *PlainClass.__struct_encode_fields__,
    *PlainCourseAssignment.__struct_encode_fields__,
    "ClassId", "CourseAssignmentId", "id", "Class", "Data", "Results", "x", 'a":', "a:b",
]  # fmt: skip

triggers = st.sampled_from(list(Trigger))
text = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.integers(0, 8)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
    | st.sampled_from(
        ["Denied", "started", "2026-03-01", "2026-03-01T09:00:00Z", "/Date(0)/", "7", ":", '":']
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
spaces = st.sampled_from(["", " ", "\n  ", "\t", "\r\n"])


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any] = values) -> bytes:
    """An object with members of ours, repeated ones too, in any spacing."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(NAMES) | text, inner), max_size=6))
    if draw(st.booleans()):
        pairs.insert(draw(st.integers(0, len(pairs))), ("Id", draw(st.integers(0, 99))))
    space = draw(spaces)
    ascii_only = draw(st.booleans())
    members = [
        f"{json.dumps(name, ensure_ascii=ascii_only)}{space}:{space}{json.dumps(value, ensure_ascii=ascii_only)}"
        for name, value in pairs
    ]
    return ("{" + f"{space},{space}".join(members) + "}").encode()


@given(st.binary(max_size=80) | objects(), triggers)
@example(b'{"Id":1,"Name":"\\ud800"}', Trigger.CLASS)
@example(b'{"\\ud800":1,"Id":1}', Trigger.CLASS)
def test_any_bytes_are_an_event_or_undecodable(body: bytes, trigger: Trigger) -> None:
    with contextlib.suppress(Undecodable):
        message = message_of(body, RULES[trigger])
        assert tms_events.decode(message.body).trigger is trigger
        assert len(message.routing_key.encode()) <= 255


@given(
    st.dictionaries(text.filter(lambda name: fold(name) not in READ), values, max_size=6),
    st.integers(-(2**63), 2**63 - 1),
)
def test_the_payload_of_any_object_with_an_id_is_verbatim(members: dict[str, object], number: int) -> None:
    body = json.dumps(members | {"Id": number}, ensure_ascii=False).encode()
    message = message_of(body)
    assert tms_events.payload_bytes(message.body) == body
    assert tms_events.entity_id(tms_events.decode(message.body)) == number


@given(objects() | objects(scalars), triggers)
@example(b'{"Id":1,"Id":2}', Trigger.CLASS)
@example(b'{"Id" :1,"Id":2}', Trigger.CLASS)
@example(b'{"Id":1,"\\u0049d":2}', Trigger.CLASS)
@example(b'{"Id":1,"x":{"Id":2,"Name":"\\":"}}', Trigger.CLASS)
@example(b'{"Id":-0,"Status":-0}', Trigger.CLASS)
@example(b'{"Id":1,"Status":999999999999999999}', Trigger.CLASS)
@example(b'{"Id":1,"Status":9223372036854775807}', Trigger.CLASS)
@example(b'{"Id":1,"Start":9223372036854775807}', Trigger.CLASS)
@example(b'{"Id":1,"Start":"2026-03-01T09:00:00.1234567+02:00"}', Trigger.CLASS)
def test_the_fast_path_reads_what_the_tolerant_path_reads(body: bytes, trigger: Trigger) -> None:
    plain = decode_plainly(json_value(body), trigger)
    if plain is not None:
        assert plain == decode_tolerantly(json_value(body), RULES[trigger])


@given(objects(), triggers)
def test_an_explanation_says_what_decoding_does(body: bytes, trigger: Trigger) -> None:
    explanation = explain(body, RULES[trigger], NOON)
    if explanation.understood:
        assert decode(body, RULES[trigger], NOON).status == explanation.status
    else:
        with pytest.raises(Undecodable) as caught:
            decode(body, RULES[trigger], NOON)
        assert str(caught.value) == explanation.reason
    assert msgspec.json.encode(explanation)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_equal_digests_are_of_equal_bodies(one: bytes, other: bytes) -> None:
    assert (digest("s", "class", one) == digest("s", "class", other)) == (one == other)


PLAIN = [
    (Trigger.CLASS, b'{"Id":1,"ConfirmationStatusId":3,"Name":"a: b","ClassMeetings":[{"Id":1,"Start":2},{"Id":2}]}'),
    (Trigger.CLASS, b'{"Id": 1, "Status": "Denied", "Start": "2026-03-01T09:00:00Z", "InstructorIds": [1]}'),
    (Trigger.CLASS, b'{\n  "Id" : 1,\n  "Enabled" : true,\n  "HtmlDescription" : "<a href=\\"x:y\\">"\n}'),
    (Trigger.COURSE_ASSIGNMENT, b'{"Id":1,"Status":"Started","Start":1767600000,"ClassId":5,"Unheard":{"Id":7}}'),
    (Trigger.COURSE_ASSIGNMENT, b'{"Id":1,"Status":30}'),
]  # fmt: skip


@pytest.mark.parametrize(("trigger", "body"), PLAIN)
def test_the_plain_model_takes_the_fast_path(trigger: Trigger, body: bytes) -> None:
    plain = decode_plainly(body, trigger)
    assert plain is not None
    assert plain == decode_tolerantly(body, RULES[trigger])


@pytest.mark.parametrize(
    "body",
    [
        b'{"Id":1,"Name":"a","Name":"b"}',
        b'{"Id":1,"x":1,"x":2}',
        b'{"Id":1,"ClassId":1}',
        b'{"Id":1,"id":2}',
        b'{"Id":1,"Data":{"Id":2}}',
        b'{"Id":1,"Status":"Denied","ConfirmationStatusId":6}',
        b'{"Id":1,"Start":"2026-03-01"}',
        b'{"Id":1,"Start":1333267200000}',
        b'{"Id":"1"}',
        b"[]",
    ],
)
def test_anything_else_is_left_to_the_tolerant_path(body: bytes) -> None:
    assert decode_plainly(body, Trigger.CLASS) is None
