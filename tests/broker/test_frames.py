"""Frames made by hand against the library that reads them."""

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from tms_bridge.broker import frames
from tms_bridge.broker.frames import FrameWriter, short
from tms_bridge.broker.properties import properties_of
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
    monkeypatch.setattr(frames, "MAX_TOPICS", 10)
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
