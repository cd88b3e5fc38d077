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
    type_of,
    varying_headers,
)
from tms_bridge.message import Message

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


class _Names(dict[str, bytes]):
    """Names of headers with the mark of a string after them, encoded once each."""

    def __missing__(self, name: str) -> bytes:
        encoded = self[name] = short(name) + _STRING
        return encoded


class FrameWriter:
    """Turns messages into the bytes of their publishes, for one channel."""

    def __init__(self, channel: int, frame_max: int) -> None:
        self._channel = channel
        self._frame_max = frame_max
        self._topics: dict[tuple[object, ...], Topic] = {}
        self._names = _Names()

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
        varying = self._table(varying_headers(message))
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

    def _table(self, headers: dict[str, str]) -> bytes:
        parts: list[bytes] = []
        for name, value in headers.items():
            encoded = value.encode()
            parts += (self._names[name], _LENGTH.pack(len(encoded)), encoded)
        return b"".join(parts)

    def _body(self, body: bytes) -> bytes:
        room = self._frame_max - _FRAME_OVERHEAD
        if 0 < len(body) <= room:
            return _FRAME.pack(_BODY_FRAME, self._channel, len(body)) + body + FRAME_END
        pieces = (body[start : start + room] for start in range(0, len(body), room))
        return b"".join(
            _FRAME.pack(_BODY_FRAME, self._channel, len(piece)) + piece + FRAME_END for piece in pieces
        )


def short(text: str) -> bytes:
    """Encode a short string: its length in one byte, then its UTF-8."""
    encoded = text.encode()
    if len(encoded) > _MAX_SHORT:
        raise ValueError(f"a short string of {len(encoded)} bytes; AMQP takes {_MAX_SHORT}")
    return bytes((len(encoded),)) + encoded
