"""What `tail` keeps and hands on, without a broker."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tms_bridge.broker.consumer import Delivery
from tms_bridge.cli.bus.saved import Redaction, SavedEvent, save, saved_event, sender_body
from tms_bridge.cli.bus.tail import ContentMode, request_of

NOTHING = Redaction.of((), ())
BODY = (
    b'{"id": "id-1", "trigger": "class", "class": {"id": 7, "name": "A", "price": 1.50, "tags": ["x", null]},'
    b' "payload": {"Id": 7, "Name": "A", "Price": 1.50, "Big": 123456789012345678901234567890}}'
)


def delivery(body: bytes = BODY, message_id: str = "id-1") -> Delivery:
    return Delivery(
        exchange="tms.events",
        routing_key="tms.class.scheduled",
        redelivered=False,
        message_id=message_id,
        type="com.skillable.tms.class.scheduled",
        content_type="application/json",
        timestamp=datetime(2026, 11, 20, 9, tzinfo=UTC),
        delivery_mode=2,
        app_id="tms-bridge",
        headers={
            "cloudEvents_specversion": "1.0",
            "cloudEvents_id": "id-1",
            "cloudEvents_source": "/tms/con 100%",
            "cloudEvents_subject": "class/7",
            "tms-digest": "ab",
            "tms-replayed": True,
        },
        body=body,
    )


def event(redaction: Redaction = NOTHING, body: bytes = BODY) -> SavedEvent:
    return saved_event(delivery(body), redaction)


def test_a_saved_event_plays_the_senders_body_digit_for_digit(tmp_path: Path) -> None:
    path = save(event(), tmp_path, 1)
    assert (tmp_path / "id-1.json", 0o600) == (path, path.stat().st_mode & 0o777)
    sent = sender_body(path.read_bytes())
    assert sent is not None
    assert sent.body is not None
    assert b'{"Id":7,"Name":"A","Price":1.50,"Big":123456789012345678901234567890}' == msgspec.json.format(
        sent.body, indent=-1
    )
    assert "class" == sent.trigger


@pytest.mark.parametrize("message_id", ["", "../../etc/passwd", "a/b", "x" * 101])
def test_an_id_that_is_no_name_of_a_file_is_not_one(tmp_path: Path, message_id: str) -> None:
    path = save(saved_event(delivery(message_id=message_id), NOTHING), tmp_path, 12)
    assert tmp_path / "000012.json" == path


def test_a_member_that_is_omitted_is_nowhere() -> None:
    body = json.loads(bytes(event(Redaction.of(["payload", "PRICE"], [])).body))
    assert {"id": "id-1", "trigger": "class", "class": {"id": 7, "name": "A", "tags": ["x", None]}} == body


def test_a_value_that_is_replaced_keeps_its_kind_in_the_typed_and_the_senders_part() -> None:
    body = bytes(event(Redaction.of([], ["Name", "tags", "big"])).body)
    assert b'"name":"replaced","price":1.50,"tags":["replaced",null]' in body
    assert b'"payload":{"Id":7,"Name":"replaced","Price":1.50,"Big":0}' in body


def test_names_are_compared_without_case_and_underscores() -> None:
    body = b'{"organization_name": "A", "OrganizationName": "A", "Organization": "A"}'
    changed = event(Redaction.of([], ["organizationName"]), body).body
    assert {
        "organization_name": "replaced",
        "OrganizationName": "replaced",
        "Organization": "A",
    } == json.loads(bytes(changed))


def test_a_body_that_is_no_json_is_told_whole_or_not_at_all() -> None:
    assert (b"\xff", b"") == (event(body=b"\xff").body, event(Redaction.of(["x"], []), b"\xff").body)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"Id":7}', b'{"routing_key":"k","properties":{},"headers":{},"body":{"trigger":"x"}}'],
)
def test_what_tail_did_not_save_is_not_taken_for_it(content: bytes) -> None:
    assert sender_body(content) is None


def test_without_its_payload_the_senders_body_is_not_known(tmp_path: Path) -> None:
    sent = sender_body(save(event(Redaction.of(["payload"], [])), tmp_path, 1).read_bytes())
    assert sent is not None
    assert sent.body is None


def test_a_structured_cloudevent_is_one_document() -> None:
    headers, body = request_of(event(), ContentMode.STRUCTURED)
    document = json.loads(body)
    assert {"Content-Type": "application/cloudevents+json"} == headers
    assert b'"price":1.50' in body
    assert ("1.0", "id-1", "/tms/con 100%", "class/7", "ab", True, "application/json", 7) == (
        *(document[name] for name in ("specversion", "id", "source", "subject", "tmsdigest", "tmsreplayed")),
        document["datacontenttype"],
        document["data"]["class"]["id"],
    )


def test_a_binary_cloudevent_has_its_attributes_in_headers() -> None:
    headers, body = request_of(event(), ContentMode.BINARY)
    assert json.loads(BODY) == json.loads(body)
    assert {
        "ce-id": "id-1",
        "ce-source": "/tms/con%20100%25",
        "ce-subject": "class/7",
        "ce-tmsreplayed": "true",
        "ce-type": "com.skillable.tms.class.scheduled",
        "Content-Type": "application/json",
    }.items() <= headers.items()


def test_a_body_that_is_no_json_is_base64_in_a_document() -> None:
    _, body = request_of(event(body=b"\xff"), ContentMode.STRUCTURED)
    assert "/w==" == json.loads(body)["data_base64"]
