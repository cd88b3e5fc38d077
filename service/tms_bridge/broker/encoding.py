"""What each message carries on the wire beside its body, and the bytes of its publish.

Publishes are marshalled by hand: what messages of one topic share is encoded once and kept. The bytes are
those of AMQP 0-9-1, section 4.2: a method frame, a header frame with the properties, and the body in as many
frames as the broker's frame size asks for.
"""

import functools
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from tms_bridge.message import Kind, Message
from tms_events.wire import (
    APP_ID,
    CHECK_TYPE,
    CONTENT_TYPE,
    QUARANTINE_TYPE,
    REPLAYED_HEADER,
    TEST_HEADER,
    data_schema,
    event_type,
)

QUARANTINE_CONTENT_TYPE = "application/octet-stream"
PERSISTENT = 2

MAX_TOPICS: Final = 1024
"""How many topics are kept; a configuration has a dozen a source."""

FRAME_END: Final = b"\xce"

_FRAME = struct.Struct(">BHI")
_LENGTH = struct.Struct(">I")
_TIMESTAMP = struct.Struct(">Q")
_HEADER = struct.Struct(">BHIHHQ")  # the frame's, then class, weight and body size
_FRAME_OVERHEAD: Final = _FRAME.size + len(FRAME_END)
_METHOD_FRAME, _HEADER_FRAME, _BODY_FRAME = 1, 2, 3
_BASIC_PUBLISH: Final = struct.pack(">HHH", 60, 40, 0)
_CONTENT_CLASS: Final = 60
_FIXED_SIZE: Final = _HEADER.size - _FRAME.size + _LENGTH.size + _TIMESTAMP.size
_MANDATORY: Final = b"\x01"

_FLAGS: Final = struct.pack(">H", 0xB0E8)
"""Content type, headers, delivery mode, message id, timestamp, type, application id."""

_PERSISTENT: Final = bytes((PERSISTENT,))
_MODE: Final = chr(PERSISTENT)
_STRING: Final = b"S"
_TRUE: Final = b"t\x01"
_FALSE: Final = b"t\x00"
_MAX_SHORT: Final = 255
_REASON_BYTES: Final = 1024
_EVENT: Final = Kind.EVENT  # Python 3.11 takes 0.2 µs to look it up


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
        after_timestamp: the type and the application id, and the frame's end.
        size: how long the header frame's payload is without what is a message's own.
    """

    __slots__ = ("after_timestamp", "before_table", "headers", "publish", "size")

    def __init__(self, message: Message, exchange: str, channel: int) -> None:
        method = _BASIC_PUBLISH + short(exchange) + short(message.routing_key) + _MANDATORY
        self.publish = _FRAME.pack(_METHOD_FRAME, channel, len(method)) + method + FRAME_END
        self.headers = _table(fixed_headers(message))
        self.before_table = _FLAGS + short(content_type_of(message))
        after_timestamp = short(type_of(message)) + short(APP_ID)
        self.after_timestamp = after_timestamp + FRAME_END
        self.size = _FIXED_SIZE + len(self.before_table) + len(self.headers) + len(after_timestamp)


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
        own, entries = _own(message)
        size = topic.size + len(own)
        if size + _FRAME_OVERHEAD > self._frame_max:
            raise ValueError("the headers do not fit into one frame")
        body = message.body
        return b"".join(
            (
                topic.publish,
                _HEADER.pack(_HEADER_FRAME, self._channel, size, _CONTENT_CLASS, 0, len(body)),
                topic.before_table,
                _LENGTH.pack(len(topic.headers) + entries),
                topic.headers,
                own,
                _TIMESTAMP.pack(message.received_at_us // 1_000_000),
                topic.after_timestamp,
                *self._body(body),
            )
        )

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
            message.test,
        )
        topic = self._topics.get(key)
        if topic is None:
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            topic = self._topics[key] = Topic(message, exchange, self._channel)
        return topic

    def _body(self, body: bytes) -> Iterable[bytes | memoryview]:
        room = self._frame_max - _FRAME_OVERHEAD
        if 0 < len(body) <= room:
            return _FRAME.pack(_BODY_FRAME, self._channel, len(body)), body, FRAME_END
        parts: list[bytes | memoryview] = []
        for start in range(0, len(body), room):
            piece = memoryview(body)[start : start + room]  # copied once, into the whole
            parts += (_FRAME.pack(_BODY_FRAME, self._channel, len(piece)), piece, FRAME_END)
        return parts


def _own(message: Message) -> tuple[bytes, int]:
    """Return what is each message's own, and how many bytes of it are the header table's entries.

    The delivery mode and the message id come after the entries.
    """
    if message.kind is _EVENT:
        try:
            own = _of_event(message)
        except UnicodeEncodeError:
            pass  # a value is longer than 127 bytes, or not ASCII
        else:
            return own, len(own) - len(message.id) - len(_PERSISTENT) - 1
    entries = _table(varying_headers(message))
    return entries + _PERSISTENT + short(message.id), len(entries)


def _of_event(message: Message) -> bytes:
    """Return what `_own` does, encoded in one piece.

    As long as all is ASCII, a text's length is a character too; longer texts fail to encode like others.
    """
    event_id, trace, digest = message.id, message.traceparent, message.digest
    length = chr(len(event_id))
    subject = f"{message.trigger}/{message.entity}"
    time = rfc3339(message.received_at_us)
    return (
        f"{_ID}{length}{event_id}{_SUBJECT}{chr(len(subject))}{subject}"
        f"{_TIME}{chr(len(time))}{time}{_TRACEPARENT}{chr(len(trace))}{trace}"
        f"{_DIGEST}{chr(len(digest))}{digest}{_MODE}{length}{event_id}"
    ).encode("ascii")


def _table(headers: Mapping[str, str | bool]) -> bytes:
    """Return the entries of a header table, without its length."""
    parts: list[bytes] = []
    for name, value in headers.items():
        parts.append(short(name))
        if isinstance(value, bool):
            parts.append(_TRUE if value else _FALSE)
        else:
            encoded = value.encode()
            parts += (_STRING, _LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)


def short(text: str) -> bytes:
    """Encode a short string: its length in one byte, then its UTF-8."""
    encoded = text.encode()
    if len(encoded) > _MAX_SHORT:
        raise ValueError(f"a short string of {len(encoded)} bytes; AMQP takes {_MAX_SHORT}")
    return bytes((len(encoded),)) + encoded


def content_type_of(message: Message) -> str:
    """Return what the body is: our JSON, or bytes of which nobody knows."""
    return CONTENT_TYPE if message.kind is Kind.EVENT else QUARANTINE_CONTENT_TYPE


def type_of(message: Message) -> str:
    """Return the event type, which is also the CloudEvents type."""
    if message.kind is Kind.QUARANTINE:
        return QUARANTINE_TYPE
    return CHECK_TYPE if message.test else event_type(message.trigger, message.status)


def fixed_headers(message: Message) -> dict[str, str | bool]:
    """Return the headers that all messages of one source, trigger, status and kind share."""
    headers: dict[str, str | bool] = {REPLAYED_HEADER: True} if message.replayed else {}
    if message.test:
        headers[TEST_HEADER] = True
    if message.kind is Kind.QUARANTINE:
        return headers | {"tms-source": message.source, "tms-trigger": message.trigger}
    return headers | {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_type": type_of(message),
        "cloudEvents_source": f"/tms/{message.source}",
        "cloudEvents_dataschema": data_schema(message.trigger),
    }


def varying_headers(message: Message) -> dict[str, str]:
    """Return the headers that are each message's own; every value is a string."""
    if message.kind is Kind.QUARANTINE:
        return {
            "traceparent": message.traceparent,
            "tms-digest": message.digest,
            "tms-reason": short_reason(message.reason),
        }
    return {
        "cloudEvents_id": message.id,
        "cloudEvents_subject": f"{message.trigger}/{message.entity}",
        "cloudEvents_time": rfc3339(message.received_at_us),
        "traceparent": message.traceparent,
        "tms-digest": message.digest,
    }


def rfc3339(unix_us: int) -> str:
    """Return the instant in UTC, to the microsecond."""
    seconds, microseconds = divmod(unix_us, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}Z"


@functools.lru_cache(maxsize=128)
def _second(unix_s: int) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%S}"


def short_reason(reason: str) -> str:
    """Return at most a kilobyte of the reason, as text that UTF-8 can hold."""
    return reason.encode(errors="replace")[:_REASON_BYTES].decode(errors="ignore")
