"""Frames made by hand against the library that reads them, and what a message carries beside its body."""

from datetime import UTC, datetime

import msgspec
import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from tms_bridge.broker import encoding
from tms_bridge.broker.encoding import FrameWriter, rfc3339, short, short_reason
from tms_bridge.broker.publisher import properties_of
from tms_bridge.message import Kind, Message

FRAME_MAX = 4096
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)

MESSAGES = st.builds(
    Message,
    id=WORDS.filter(bool),
    kind=st.sampled_from(Kind),
    source=WORDS,
    trigger=st.sampled_from(["class", "course_assignment"]),
    status=WORDS,
    routing_key=WORDS,
    entity=WORDS,
    received_at_us=st.integers(0, 4_000_000_000_000_000),
    digest=WORDS,
    traceparent=WORDS,
    body=st.binary(max_size=9000),
    replayed=st.booleans(),
    reason=st.text(max_size=300),
)


def read(data: bytes) -> list[tuple[int, object]]:
    """Cut bytes into (channel, frame) with the library."""
    read: list[tuple[int, object]] = []
    while data:
        size, channel, content = frame.unmarshal(data)
        read.append((channel, content))
        data = data[size:]
    return read


@given(MESSAGES)
def test_the_library_reads_what_was_meant(message: Message) -> None:
    publish, header, *pieces = read(FrameWriter(7, FRAME_MAX).publish(message, "exchange"))
    assert [channel for channel, _ in (publish, header, *pieces)] == [7] * (2 + len(pieces))
    assert isinstance(publish[1], spec.Basic.Publish)
    assert publish[1].exchange == "exchange"
    assert publish[1].routing_key == message.routing_key
    assert publish[1].mandatory is True
    assert publish[1].immediate is False
    assert isinstance(header[1], ContentHeader)
    assert header[1].body_size == len(message.body)
    assert header[1].properties == properties_of(message)
    bodies = [piece for _, piece in pieces if isinstance(piece, ContentBody)]
    assert b"".join(piece.value for piece in bodies) == message.body
    assert all(len(piece.value) <= FRAME_MAX - 8 for piece in bodies)


@given(st.lists(MESSAGES, min_size=2, max_size=6))
def test_what_is_kept_of_one_topic_leaks_into_no_other(messages: list[Message]) -> None:
    writer = FrameWriter(1, FRAME_MAX)
    for message in messages * 2:
        assert writer.publish(message, "x") == FrameWriter(1, FRAME_MAX).publish(message, "x")


def test_topics_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "MAX_TOPICS", 10)
    writer = FrameWriter(1, FRAME_MAX)
    for number in range(35):
        writer.publish(message_of(f"key.{number}"), "x")
    assert len(writer._topics) <= 10


def message_of(key: str) -> Message:
    return Message("i", Kind.EVENT, "s", "class", "x", key, "1", 0, "", "", b"")


def test_a_short_string_holds_255_bytes() -> None:
    assert short("\u00fc" * 127) == b"\xfe" + b"\xc3\xbc" * 127
    with pytest.raises(ValueError, match="256 bytes"):
        short("\u00fc" * 128)


EVENT = Message(
    id="0199a0c1-0000-7000-8000-000000000001",
    kind=Kind.EVENT,
    source="contoso",
    trigger="class",
    status="guaranteed_to_run",
    routing_key="tms.class.guaranteed_to_run",
    entity="4711",
    received_at_us=1_790_000_000_000_042,
    digest="ab" * 32,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    body=b"{}",
)

QUARANTINED = msgspec.structs.replace(
    EVENT, kind=Kind.QUARANTINE, status="", entity="", routing_key="", reason="no id", body=b"\xff"
)


def test_an_event_carries_the_properties_and_cloud_events_headers() -> None:
    assert properties_of(EVENT) == spec.Basic.Properties(
        content_type="application/json",
        headers={
            "cloudEvents_specversion": "1.0",
            "cloudEvents_id": "0199a0c1-0000-7000-8000-000000000001",
            "cloudEvents_type": "com.skillable.tms.class.guaranteed_to_run",
            "cloudEvents_source": "/tms/contoso",
            "cloudEvents_subject": "class/4711",
            "cloudEvents_time": "2026-09-21T14:13:20.000042Z",
            "cloudEvents_dataschema": "urn:tms-events:class-changed:1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tms-digest": "ab" * 32,
        },
        delivery_mode=2,
        message_id="0199a0c1-0000-7000-8000-000000000001",
        timestamp=datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        message_type="com.skillable.tms.class.guaranteed_to_run",
        app_id="tms-bridge",
    )


def test_a_replayed_event_says_so() -> None:
    headers = properties_of(msgspec.structs.replace(EVENT, replayed=True)).headers
    assert headers is not None
    assert headers["tms-replayed"] is True


def test_a_quarantined_body_carries_why_it_is_there() -> None:
    assert properties_of(QUARANTINED) == spec.Basic.Properties(
        content_type="application/octet-stream",
        headers={
            "tms-source": "contoso",
            "tms-trigger": "class",
            "tms-reason": "no id",
            "tms-digest": "ab" * 32,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        },
        delivery_mode=2,
        message_id="0199a0c1-0000-7000-8000-000000000001",
        timestamp=datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        message_type="com.skillable.tms.quarantined",
        app_id="tms-bridge",
    )


def test_instants_are_utc_to_the_microsecond() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(1_790_000_000_999_999) == "2026-09-21T14:13:20.999999Z"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("plain", "plain"), ("x" * 2000, "x" * 1024), ("\u20ac" * 400, "\u20ac" * 341), ("a\ud800b", "a?b")],
)
def test_a_reason_is_at_most_a_kilobyte_of_valid_text(reason: str, kept: str) -> None:
    assert short_reason(reason) == kept
