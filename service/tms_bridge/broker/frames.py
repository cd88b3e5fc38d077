"""Publishes marshalled by hand: what messages of one topic share is encoded once and kept.

The bytes are those of AMQP 0-9-1, section 4.2: a method frame, a header frame with the properties, and the
body in as many frames as the broker's frame size asks for.
"""

import struct
from typing import Final

from pamqp import encode

from tms_bridge.broker.properties import (
    APP_ID,
    PERSISTENT,
    content_type_of,
    fixed_headers,
    rfc3339,
    type_of,
    varying_headers,
)
from tms_bridge.message import Kind, Message

MAX_TOPICS: Final = 1024
"""How many topics are kept; a configuration has a dozen a source."""

FRAME_END: Final = b"\xce"

_FRAME = struct.Struct(">BHI")
_LENGTH = struct.Struct(">I")
_BODY_SIZE = struct.Struct(">Q")
_FRAME_OVERHEAD: Final = _FRAME.size + len(FRAME_END)
_METHOD_FRAME, _HEADER_FRAME, _BODY_FRAME = 1, 2, 3
_BASIC_PUBLISH: Final = struct.pack(">HHH", 60, 40, 0)
_CONTENT_CLASS: Final = struct.pack(">HH", 60, 0)
_MANDATORY: Final = b"\x01"

_FLAGS: Final = struct.pack(">H", 0xB0E8)
"""Content type, headers, delivery mode, message id, timestamp, type, application id."""

_PERSISTENT: Final = bytes((PERSISTENT,))
_STRING: Final = b"S"
_MAX_SHORT: Final = 255


def _before(name: str) -> str:
    """Return what stands before the last byte of a string's length: its name, its type, three zeros."""
    return f"{chr(len(name))}{name}S\0\0\0"


_ID: Final = _before("cloudEvents_id")
_SUBJECT: Final = _before("cloudEvents_subject")
_TIME: Final = _before("cloudEvents_time")
_TRACEPARENT: Final = _before("traceparent")
_DIGEST: Final = _before("tms-digest")


class Topic:
    """The bytes that all messages to one place have in common.

    Attributes:
        publish: the whole method frame.
        headers: the header table's fixed entries.
        before_table: from the flags to the content type.
        after_timestamp: the type and the application id.
    """

    __slots__ = ("after_timestamp", "before_table", "headers", "publish")

    def __init__(self, message: Message, exchange: str, channel: int) -> None:
        method = _BASIC_PUBLISH + short(exchange) + short(message.routing_key) + _MANDATORY
        self.publish = _FRAME.pack(_METHOD_FRAME, channel, len(method)) + method + FRAME_END
        self.headers = encode.field_table(fixed_headers(message))[_LENGTH.size :]
        self.before_table = _FLAGS + short(content_type_of(message))
        self.after_timestamp = short(type_of(message)) + short(APP_ID)


class FrameWriter:
    """Turns messages into the bytes of their publishes, for one channel."""

    def __init__(self, channel: int, frame_max: int) -> None:
        self._channel = channel
        self._frame_max = frame_max
        self._topics: dict[tuple[object, ...], Topic] = {}

    def publish(self, message: Message, exchange: str) -> bytes:
        """Return the frames of one publish.

        Raises:
            ValueError, struct.error, OverflowError: no frame can hold it.
        """
        topic = self._topic(message, exchange)
        return b"".join((topic.publish, self._header(topic, message), self._body(message.body)))

    def _topic(self, message: Message, exchange: str) -> Topic:
        # Together these decide every fixed byte; the routing key alone would not tell two sources apart.
        key = (
            exchange,
            message.routing_key,
            message.source,
            message.trigger,
            message.status,
            message.kind,
            message.replayed,
        )
        topic = self._topics.get(key)
        if topic is None:
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            topic = self._topics[key] = Topic(message, exchange, self._channel)
        return topic

    def _header(self, topic: Topic, message: Message) -> bytes:
        varying = _varying(message)
        properties = b"".join(
            (
                _CONTENT_CLASS,
                _BODY_SIZE.pack(len(message.body)),
                topic.before_table,
                _LENGTH.pack(len(topic.headers) + len(varying)),
                topic.headers,
                varying,
                _PERSISTENT,
                short(message.id),
                _BODY_SIZE.pack(message.received_at_us // 1_000_000),
                topic.after_timestamp,
            )
        )
        if len(properties) + _FRAME_OVERHEAD > self._frame_max:
            raise ValueError("the headers do not fit into one frame")
        return _FRAME.pack(_HEADER_FRAME, self._channel, len(properties)) + properties + FRAME_END

    def _body(self, body: bytes) -> bytes:
        room = self._frame_max - _FRAME_OVERHEAD
        if 0 < len(body) <= room:
            return _FRAME.pack(_BODY_FRAME, self._channel, len(body)) + body + FRAME_END
        pieces = (body[start : start + room] for start in range(0, len(body), room))
        return b"".join(
            _FRAME.pack(_BODY_FRAME, self._channel, len(piece)) + piece + FRAME_END for piece in pieces
        )


def _varying(message: Message) -> bytes:
    """Return the header table's entries that are each message's own."""
    if message.kind is Kind.EVENT:
        try:
            return _of_event(message)
        except UnicodeEncodeError:
            pass  # a value is longer than 127 bytes, or not ASCII
    return _strings(varying_headers(message))


def _of_event(message: Message) -> bytes:
    """Return `varying_headers` of an event, encoded in one piece.

    As long as all is ASCII, a text's length is a character too; longer texts fail to encode like others.
    """
    subject = f"{message.trigger}/{message.entity}"
    time = rfc3339(message.received_at_us)
    trace, digest = message.traceparent, message.digest
    return (
        f"{_ID}{chr(len(message.id))}{message.id}{_SUBJECT}{chr(len(subject))}{subject}"
        f"{_TIME}{chr(len(time))}{time}{_TRACEPARENT}{chr(len(trace))}{trace}"
        f"{_DIGEST}{chr(len(digest))}{digest}"
    ).encode("ascii")


def _strings(headers: dict[str, str]) -> bytes:
    parts: list[bytes] = []
    for name, value in headers.items():
        encoded = value.encode()
        parts += (short(name), _STRING, _LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)


def short(text: str) -> bytes:
    """Encode a short string: its length in one byte, then its UTF-8."""
    encoded = text.encode()
    if len(encoded) > _MAX_SHORT:
        raise ValueError(f"a short string of {len(encoded)} bytes; AMQP takes {_MAX_SHORT}")
    return bytes((len(encoded),)) + encoded
