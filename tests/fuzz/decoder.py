"""The decoder: any body becomes an event that can be read, or is undecodable; both ways read the same.

An input is a byte that chooses the rules, and a body.
"""

# ruff: noqa: E501 - lists of odd words are no prose

import json
from datetime import datetime
from pathlib import Path
from random import Random

from tests.fuzz.mutation import JsonMutator, Mutator
from tests.fuzz.target import Target

import tms_events
from tms_bridge import ingest
from tms_bridge.errors import Undecodable
from tms_bridge.ingest import Observations, Rules, Stamp, rules_of
from tms_bridge.ingest.fields import read_names
from tms_bridge.ingest.plain import PlainClass, PlainCourseAssignment, decode_plainly, json_value
from tms_bridge.ingest.tolerant import decode_tolerantly
from tms_bridge.message import Message
from tms_bridge.settings.model import Source
from tms_events import Trigger

BODIES = Path(__file__).parents[2] / "examples" / "bodies"
STAMP = Stamp(
    "0199c0de-0000-7000-8000-000000000001",
    1_772_366_400_123_456,
    "d" * 64,
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)


def _rules() -> list[Rules]:
    """Return the rules of a source that says nothing of its own, and of sources that do."""
    plain = Source(allow_from=("any",), credentials=())
    deriving = Source(allow_from=("any",), credentials=(), derive_status=True, payload="omit")
    pointing = Source(
        allow_from=("any",),
        credentials=(),
        fields={
            "class": {"status": "/Class/State", "start": "/When/0"},
            "course_assignment": {"id": "/Assignment/Id", "complete": "/a~1b"},
        },
    )
    sources = (plain, plain, deriving, pointing)
    return [rules for source in sources for rules in rules_of("contoso", source).values()]


RULES = _rules()
WHOLE = [path.read_bytes() for path in sorted(BODIES.glob("*.json"))]
SMALL = [
    b'{"Id":1}',
    b'{"Id":7,"ConfirmationStatusId":7}',
    b'{"Id":7,"Status":30,"Complete":"2026-03-01T09:00:00Z"}',
    b'{"Status":"Denied","TimeZoneId":"UTC","Start":"2026-03-01T09:00:00","ClassId":7}',
    b'{"Name":"a","ExternalId":null,"Enabled":true,"CourseId":1,"Id":7,"IsPublic":false}',
    b'{"Id":1,"ConfirmationStatusId":3,"Name":"a: b","ClassMeetings":[{"Id":1,"Start":2},{"Id":2}]}',
    b'{"Id": 1, "Status": "Denied", "Start": "2026-03-01T09:00:00Z", "InstructorIds": [1]}',
    b'{"Id":1,"Status":"Started","Start":1767600000,"ClassId":5,"Unheard":{"Id":7}}',
    b'{"Class":{"Id":7,"State":"Cancelled","TimeZoneId":"Eastern Standard Time","Start":"3/1/2026 9:00 AM"}}',
    b'{"Results":[{"CourseAssignmentId":"7","Complete":"/Date(1333267200000)/"}],"Status":1,"Error":null}',
    b'\xef\xbb\xbf{"Data":{"classId":7.0,"confirmationStatus":{"Id":2,"Name":"Scheduled"}},"When":[null]}',
    b"[[[[]]]]",
    b'{"a":' * 6 + b"1" + b"}" * 6,
]
_ALIASES = sorted({name for trigger in Trigger for name in read_names(trigger)})
NAMES = [
    *(json.dumps(name).encode() for name in _ALIASES),
    *(json.dumps(name).encode() for name in PlainClass.__struct_encode_fields__),
    *(json.dumps(name).encode() for name in PlainCourseAssignment.__struct_encode_fields__),
    b'"ID"', b'"\\u0049d"', b'"id"', b'"Id "', b'""', b'"a:b"', b'"\\ud800"', b'"a\\""', b'"x"',
]  # fmt: skip
VALUES = [
    b"null", b"true", b"false", b"0", b"-0", b"1", b"7", b"2.0", b"2e0", b"1e400", b"-1e-400", b"1.5",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"1" * 400, b"NaN", b"Infinity",
    b'""', b'" "', b'"7"', b'"+7"', b'"7.0"', b'"1e3"', b'"\xd9\xa7"', b'"Denied"', b'"guaranteed to run"',
    b'"Completed"', b'"completed "', b'"COMPLETED"', b'"30"', b'"x"', b'"\\u0000"', b'"\\ud83d\\ude00"',
    b'"\\ud800"', b'"2026-03-01"', b'"2026-03-01T09:00:00Z"', b'"2026-03-01T09:00:00.1234567+01:00"',
    b'"2026-02-30T00:00:00"', b'"0001-01-01T00:00:00"', b'"9999-12-31T23:59:59-14:00"', b'"/Date(0)/"',
    b'"/Date(1333267200000+0100)/"', b'"/Date(-62135596800000)/"', b'"/Date(999999999999999999)/"',
    b'"Sun, 01 Mar 2026 09:00:00 GMT"', b'"3/1/2026 9:00:00 AM"', b'"24:00"', b'"UTC"', b'"Europe/Berlin"',
    b'"W. Europe Standard Time"', b'"../../etc/passwd"', b'"Etc/GMT+25"', b"1767600000", b"1767600000000",
    b"253402300800", b"-62135596801", b"[]", b"{}", b"[1]", b"[1,2,3]", b'["1",2,null]', b'"1,2;3"',
    b'{"Id":7}', b'{"Id":7,"Name":"Cancelled"}', b'[{"Id":1}]', b'[{"Id":1},{"Id":2}]', b'{"Status":"Denied"}',
    b'"yes"', b'"off"', b"[[[[[[1]]]]]]", b'{"a":{"b":{"c":{}}}}', b'"' + b"a" * 5000 + b'"',
]  # fmt: skip
_WORDS = [
    *NAMES,
    *VALUES,
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"\\",
    b"\\u",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
]

_small = JsonMutator(SMALL[:-2], NAMES, VALUES)
_whole = JsonMutator(WHOLE, NAMES, VALUES)
_bytes = Mutator([*WHOLE, *SMALL, *SMALL], _WORDS)
_MAKERS = (_small, _small, _small, _small, _small, _whole, _bytes, _bytes, _bytes, _bytes)
_observations = Observations()
_OBSERVED = 16
"""To count members costs as much as all the rest; a part of the bodies is enough."""


def make(random: Random) -> bytes:
    """Return a body that is JSON still, or one whose bytes are spoilt."""
    return bytes((int(random.random() * len(RULES)),)) + random.choice(_MAKERS)(random)


def judge(given: bytes) -> None:
    """Understand a body in each way that the bridge has, and compare."""
    if not given:
        return
    rules, body = RULES[given[0] % len(RULES)], given[1:]
    kind, is_plain = None, False
    try:
        message, decoded, kind = ingest.understand_in_full(body, rules, STAMP)
    except Undecodable as error:
        message = ingest.quarantined(body, rules, STAMP, error)
        assert (body, "") == (message.body, message.entity)
        assert message.reason
    else:
        _check_event(message, rules, body)
        ingest.remark(decoded)
        is_plain = not kind[1]
    if len(body) % _OBSERVED == 0:
        _observations.note(body, rules, kind, STAMP.received_at_us)
    if is_plain:
        _check_both_ways(rules, body)


def _check_event(message: Message, rules: Rules, body: bytes) -> None:
    event = tms_events.decode(message.body)
    entity = event.class_ if isinstance(event, tms_events.ClassChanged) else event.course_assignment
    assert (STAMP.id, rules.trigger, message.status) == (event.id, event.trigger, event.status)
    assert message.entity == str(entity.id)
    assert rules.routing_keys[message.status] == message.routing_key
    assert isinstance(event.received_at, datetime)
    payload = tms_events.payload_bytes(message.body)
    assert (payload is None) == rules.omits_payload
    assert payload is None or payload in body


def _check_both_ways(rules: Rules, body: bytes) -> None:
    """Where the plain way takes a body, the tolerant one reads the same."""
    value = json_value(body)
    plain = decode_plainly(value, rules.trigger)
    assert plain is not None
    assert decode_tolerantly(value, rules) == plain


DECODER = Target("decoder", make, judge)
