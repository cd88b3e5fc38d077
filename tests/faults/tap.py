"""Reads the AMQP frames of one connection on their way, and knows the publishes without an outcome."""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from pamqp.header import ContentHeader

_FRAME: Final = struct.Struct(">BHI")
_TAG: Final = struct.Struct(">QB")
_METHOD_FRAME: Final = 1
_HEADER_FRAME: Final = 2
_PREAMBLE: Final = b"AMQP\x00\x00\x09\x01"
_METHOD_ID_SIZE: Final = 4
_CHANNEL_OPEN: Final = b"\x00\x14\x00\x0a"
_CHANNEL_CLOSE: Final = b"\x00\x14\x00\x28"
_PUBLISH: Final = b"\x00\x3c\x00\x28"
_ACK: Final = b"\x00\x3c\x00\x50"
_NACK: Final = b"\x00\x3c\x00\x78"


class Publish(NamedTuple):
    """What of a publish must not be in flight twice: its id, and the entity that it tells of."""

    message_id: str
    subject: str


class Tap:
    """Both directions of one connection.

    Attributes:
        channel_closed: the broker has closed a channel.
    """

    def __init__(
        self,
        on_publish: Callable[[Publish], None],
        on_ack: Callable[[Publish], None],
        on_nack: Callable[[Publish], None],
    ) -> None:
        self.channel_closed = False
        self._on_publish = on_publish
        self._on_ack = on_ack
        self._on_nack = on_nack
        self._open: dict[int, dict[int, Publish | None]] = {}
        self._tags: dict[int, int] = {}
        self._client = _Frames(self._from_client)
        self._broker = _Frames(self._from_broker)

    @property
    def outstanding(self) -> int:
        """How many publishes have no outcome."""
        return sum(map(len, self._open.values()))

    @property
    def in_flight(self) -> list[Publish]:
        """The publishes that have no outcome."""
        return [publish for channel in self._open.values() for publish in channel.values() if publish]

    def sent(self, data: bytes) -> None:
        """Look at bytes that the client has sent."""
        self._client.feed(data)

    def received(self, data: bytes) -> None:
        """Look at bytes that the broker has sent."""
        self._broker.feed(data)

    def _from_client(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == _HEADER_FRAME:
            self._name(channel, payload)
        elif payload.startswith(_CHANNEL_OPEN):
            self._open[channel], self._tags[channel] = {}, 0
        elif payload.startswith(_PUBLISH):
            self._tags[channel] += 1
            self._open[channel][self._tags[channel]] = None

    def _name(self, channel: int, payload: bytes) -> None:
        """A publish's properties follow it in a frame of their own."""
        header = ContentHeader()
        header.unmarshal(payload)
        headers = header.properties.headers or {}
        subject = str(headers.get("cloudEvents_subject", ""))
        publish = Publish(header.properties.message_id or "", subject)
        self._on_publish(publish)
        self._open[channel][self._tags[channel]] = publish

    def _from_broker(self, kind: int, channel: int, payload: bytes) -> None:
        if kind != _METHOD_FRAME:
            return
        method = payload[:_METHOD_ID_SIZE]
        if method == _CHANNEL_CLOSE:
            self.channel_closed = True
        elif method in (_ACK, _NACK):
            tag, bits = _TAG.unpack_from(payload, _METHOD_ID_SIZE)
            self._settle(channel, tag, multiple=bool(bits & 1), nacked=method == _NACK)

    def _settle(self, channel: int, tag: int, *, multiple: bool, nacked: bool) -> None:
        unsettled = self._open[channel]
        tags = [each for each in unsettled if each <= tag] if multiple else [tag]
        for each in tags:
            if (publish := unsettled.pop(each, None)) is not None:
                (self._on_nack if nacked else self._on_ack)(publish)


class _Frames:
    """Cuts bytes into frames and hands on methods and headers."""

    def __init__(self, on_frame: Callable[[int, int, bytes], None]) -> None:
        self._on_frame = on_frame
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take in more bytes."""
        data = (self._rest + data).removeprefix(_PREAMBLE)
        position = 0
        while len(data) - position > _FRAME.size:
            kind, channel, size = _FRAME.unpack_from(data, position)
            start, position_after = position + _FRAME.size, position + _FRAME.size + size + 1
            if position_after > len(data):
                break
            if kind in (_METHOD_FRAME, _HEADER_FRAME):
                self._on_frame(kind, channel, data[start : start + size])
            position = position_after
        self._rest = data[position:]
