import gc
import json
import pickle
import weakref

import msgspec
import pytest

from tms_events import (
    ClassStatus,
    Event,
    MalformedMessage,
    MessageError,
    Reading,
    UnknownTrigger,
    decode,
    encode,
    entity_id,
    entity_key,
    from_dict,
    payload_bytes,
    to_dict,
)

from .samples import assignment_changed, class_changed


def changed(event: Event, **members: object) -> bytes:
    body = json.loads(encode(event)) | members
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


@pytest.mark.parametrize("event", [class_changed(), assignment_changed()])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_an_event_survives_the_wire(event: Event, kind: type[bytes]) -> None:
    copy = decode(kind(encode(event)))
    assert (copy, hash(copy), encode(copy)) == (event, hash(event), encode(event))
    assert copy.trigger is event.trigger
    assert entity_id(copy) == 7


@pytest.mark.parametrize("event", [class_changed(), assignment_changed()])
def test_an_event_goes_through_builtins(event: Event) -> None:
    assert json.loads(json.dumps(msgspec.to_builtins(event))) == to_dict(event) == json.loads(encode(event))
    assert from_dict(to_dict(event)) == msgspec.convert(to_dict(event), type(event)) == event


@pytest.mark.parametrize("event", [class_changed(), assignment_changed()])
def test_an_event_goes_to_another_process(event: Event) -> None:
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - our own bytes


def test_nothing_of_an_event_changes_with_the_buffer_that_it_came_in() -> None:
    buffer = bytearray(encode(class_changed()))
    event = decode(buffer)
    buffer[:] = b"x" * len(buffer)
    assert event == class_changed()


def test_an_event_does_not_keep_its_body_alive() -> None:
    class Body(bytearray):
        """Can be watched, which bytes cannot."""

    body = Body(encode(class_changed()) + b" " * 200_000)
    watched = weakref.ref(body)
    event = decode(body)
    del body
    gc.collect()
    assert watched() is None
    assert event.payload == {"Id": 7}


def test_entities_of_all_sources_and_triggers_have_keys_of_their_own() -> None:
    events: list[Event] = [class_changed(), assignment_changed(), class_changed(source="fabrikam")]
    assert [entity_key(event) for event in events] == [
        "contoso/class/7", "contoso/course_assignment/7", "fabrikam/class/7",
    ]  # fmt: skip


def test_the_members_of_a_message_are_named_as_documented() -> None:
    members = json.loads(encode(class_changed()))
    assert list(members) == [
        "trigger", "id", "source", "status", "raw_status", "status_from", "received_at", "class", "payload",
    ]  # fmt: skip
    assert members["trigger"] == "class"
    assert members["received_at"] == "2026-03-01T12:00:00Z"
    assert members["class"]["start"] == "2026-03-01T12:00:00Z"


def test_what_could_not_be_read_is_told_and_absent_where_there_is_nothing_to_say() -> None:
    told = msgspec.structs.replace(class_changed(), reading=Reading(unread=("name",), assumed=("start",)))
    wire = encode(told)
    assert json.loads(wire)["reading"] == {"unread": ["name"], "assumed": ["start"]}
    assert decode(wire).reading == told.reading
    assert decode(encode(class_changed())).reading == Reading()


def test_a_message_may_come_without_the_payload() -> None:
    body = changed(class_changed(), payload=...)
    event = decode(body)
    assert (event.payload, payload_bytes(body)) == (None, None)
    assert "payload" not in json.loads(encode(event))


def test_the_payload_can_be_had_as_the_sender_wrote_it() -> None:
    body = encode(msgspec.structs.replace(class_changed(), payload=msgspec.Raw(b'{"Id": 7.00}')))
    assert decode(body).payload == {"Id": 7.0}
    assert payload_bytes(body) == payload_bytes(memoryview(body)) == b'{"Id": 7.00}'
    with pytest.raises(MalformedMessage, match="array"):
        payload_bytes(b"[]")


@pytest.mark.parametrize(
    ("number", "read"),
    [
        ("1e999", "1e999"),
        ("-1e999", "-1e999"),
        ("1" * 4300, int("1" * 4300)),
        ("9" * 5000, "9" * 5000),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_a_number_of_the_payload_that_python_cannot_hold_is_text(number: str, read: object) -> None:
    payload = msgspec.Raw(f'{{"Big":[{number}],"Half":0.5}}'.encode())
    event = decode(encode(msgspec.structs.replace(class_changed(), payload=payload)))
    assert event == msgspec.structs.replace(class_changed(), payload={"Big": [read], "Half": 0.5})
    assert decode(encode(event)) == from_dict(to_dict(event)) == event


def test_members_of_later_versions_are_ignored() -> None:
    assert decode(changed(class_changed(), weather="fine")).id == "id-1"


@pytest.mark.parametrize("event", [class_changed(), assignment_changed()])
def test_words_of_later_versions_are_kept_and_passed_on(event: Event) -> None:
    body = changed(event, status="postponed", raw_status="Postponed", status_from="operator")
    later = decode(body)
    assert (later.status, later.raw_status, later.status_from) == ("postponed", "Postponed", "operator")
    assert isinstance(later.status, type(event.status))
    assert json.loads(encode(later)) == json.loads(body)


def test_an_untold_status_has_no_word() -> None:
    event = decode(changed(class_changed(), status="unknown", raw_status=None))
    assert (event.status, event.raw_status) == (ClassStatus.UNKNOWN, None)


def test_a_trigger_of_a_later_version_is_named() -> None:
    body = changed(class_changed(), trigger="membership")
    with pytest.raises(UnknownTrigger, match="'membership'") as caught:
        decode(body)
    assert (caught.value.trigger, caught.value.body) == ("membership", body)
    with pytest.raises(UnknownTrigger, match="'membership'"):
        from_dict(json.loads(body))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (b'{"payload":1e999}', "trigger"),
        (b'{"trigger":"class","payload":1e999}', "out of range"),
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
