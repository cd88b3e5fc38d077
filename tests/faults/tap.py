"""Reads the AMQP frames of one connection on their way, and counts the publishes without an outcome."""

import struct
from collections.abc import Callable
from typing import Final

_FRAME: Final = struct.Struct(">BHI")
_TAG: Final = struct.Struct(">QB")
_METHOD_FRAME: Final = 1
_PREAMBLE: Final = b"AMQP\x00\x00\x09\x01"
_CHANNEL_OPEN: Final = b"\x00\x14\x00\x0a"
_CHANNEL_CLOSE: Final = b"\x00\x14\x00\x28"
_PUBLISH: Final = b"\x00\x3c\x00\x28"
_ACK: Final = b"\x00\x3c\x00\x50"
_NACK: Final = b"\x00\x3c\x00\x78"


class Tap:
    """Both directions of one connection.

    Attributes:
        published: how many messages the client has sent.
        channel_closed: the broker has closed a channel.
    """

    def __init__(self, on_nack: Callable[[], None]) -> None:
        self.published = 0
        self.channel_closed = False
        self._on_nack = on_nack
        self._open: dict[int, set[int]] = {}
        self._tags: dict[int, int] = {}
        self._client = _Frames(self._from_client)
        self._broker = _Frames(self._from_broker)

    @property
    def outstanding(self) -> int:
        """How many publishes have no outcome."""
        return sum(map(len, self._open.values()))

    def sent(self, data: bytes) -> None:
        """Look at bytes that the client has sent."""
        self._client.feed(data)

    def received(self, data: bytes) -> None:
        """Look at bytes that the broker has sent."""
        self._broker.feed(data)

    def _from_client(self, channel: int, method: bytes, _payload: bytes) -> None:
        if method == _CHANNEL_OPEN:
            self._open[channel], self._tags[channel] = set(), 0
        elif method == _PUBLISH:
            self.published += 1
            self._tags[channel] += 1
            self._open[channel].add(self._tags[channel])

    def _from_broker(self, channel: int, method: bytes, payload: bytes) -> None:
        if method == _CHANNEL_CLOSE:
            self.channel_closed = True
        elif method in (_ACK, _NACK):
            tag, bits = _TAG.unpack_from(payload, len(method))
            self._settle(channel, tag, multiple=bool(bits & 1), nacked=method == _NACK)

    def _settle(self, channel: int, tag: int, *, multiple: bool, nacked: bool) -> None:
        unsettled = self._open[channel]
        tags = {each for each in unsettled if each <= tag} if multiple else unsettled & {tag}
        unsettled -= tags
        if nacked:
            for _ in tags:
                self._on_nack()


class _Frames:
    """Cuts bytes into frames and hands on the methods among them."""

    def __init__(self, on_method: Callable[[int, bytes, bytes], None]) -> None:
        self._on_method = on_method
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
            if kind == _METHOD_FRAME:
                payload = data[start : start + size]
                self._on_method(channel, payload[:4], payload)
            position = position_after
        self._rest = data[position:]
