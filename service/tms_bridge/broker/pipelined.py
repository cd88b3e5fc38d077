"""The pipelined publisher: many messages a write, many confirms a frame, no task and no future a message.

aiormq opens the connection and the channel, turns confirms on, and sends the heartbeats. From then on the
frames of this one channel are ours: publishes are written straight to the transport, whole frames at a
time, and the link's tap hands us the broker's acks, nacks and returns before aiormq sees them. Nothing
private of aiormq is touched; what is relied upon is that it uses the transport it was given, and that it
sends nothing on a channel that nobody asks it to use. `unfit` checks what can be checked of that.
"""

import struct
from typing import Final

import aiormq
from aiormq.abc import AbstractChannel
from pamqp import frame
from pamqp.header import ContentHeader

from tms_bridge.broker.confirming import ConfirmingPublisher
from tms_bridge.broker.frames import FrameWriter
from tms_bridge.broker.link import METHOD_FRAME
from tms_bridge.broker.plain import ENCODING_ERRORS
from tms_bridge.broker.properties import properties_of
from tms_bridge.broker.session import Session
from tms_bridge.errors import PublisherClosed
from tms_bridge.message import Kind, Message, Outcome

SUPPORTED_AIORMQ: Final = "7."
"""The versions of aiormq on which this was tested."""

_HEADER_FRAME: Final = 2
_BASIC_ACK: Final = b"\x00\x3c\x00\x50"
_BASIC_NACK: Final = b"\x00\x3c\x00\x78"
_BASIC_RETURN: Final = b"\x00\x3c\x00\x32"
_METHOD_ID_SIZE: Final = 4
_TAG: Final = struct.Struct(">QB")
_MULTIPLE: Final = 0x01

_SAMPLE: Final = Message(
    id="0191d6c0-0000-7000-8000-000000000000",
    kind=Kind.EVENT,
    source="self-check",
    trigger="class",
    status="unknown",
    routing_key="tms.class.unknown",
    entity="1",
    received_at_us=1_790_000_000_000_001,
    digest="0" * 64,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    body=b"{}",
)


Flight = tuple[int, str, float]
"""A publish without an outcome: its key, its message's id, and when it was sent."""


class PipelinedPublisher(ConfirmingPublisher):
    """Publishes in batches through the connection's own transport."""

    def __init__(
        self, session: Session, channel: AbstractChannel, *, max_outstanding: int, confirm_timeout_s: float
    ) -> None:
        super().__init__(session, max_outstanding=max_outstanding, confirm_timeout_s=confirm_timeout_s)
        self._channel = channel  # aiormq itself holds it only while somebody else does
        self._frames = FrameWriter(channel.number, session.frame_max)
        self._unsent: list[bytes] = []
        self._flights: dict[int, Flight] = {}
        self._returned: set[int] = set()
        self._first_tag = 1
        """No lower tag is in flight."""
        self._last_tag = 0
        self._now = 0.0
        self._link.publishing_channel = channel.number
        self._link.claim = self._claim

    def publish(self, key: int, message: Message, exchange: str) -> None:
        """Send one message, persistent and mandatory; its outcome comes from `outcomes` under `key`."""
        self._outstanding += 1
        try:
            frames = self._frames.publish(message, exchange)
        except ENCODING_ERRORS:
            self._resolve(key, Outcome.REFUSED)
            return
        if not self._unsent:
            self._now = self._loop.time()
            self._loop.call_soon(self._flush)
        self._unsent.append(frames)
        self._last_tag += 1
        self._flights[self._last_tag] = (key, message.id, self._now)

    def _flush(self) -> None:
        """Write what one turn of the loop has published."""
        unsent, self._unsent = self._unsent, []
        if self._closed is None and self._link.transport is not None:
            self._link.transport.write(b"".join(unsent))

    def _claim(self, kind: int, data: bytes, start: int, size: int) -> bool:
        """Take in a frame of our channel; what is no confirm and no return stays aiormq's."""
        if kind != METHOD_FRAME:
            if kind == _HEADER_FRAME:
                self._note_return(data[start : start + size])
            return True
        method = data[start : start + _METHOD_ID_SIZE]
        if method == _BASIC_ACK:
            self._note_confirm(data, start, Outcome.CONFIRMED)
        elif method == _BASIC_NACK:
            self._note_confirm(data, start, Outcome.NACKED)
        elif method != _BASIC_RETURN:
            return False
        return True

    def _note_confirm(self, data: bytes, start: int, outcome: Outcome) -> None:
        tag, bits = _TAG.unpack_from(data, start + _METHOD_ID_SIZE)
        if not bits & _MULTIPLE:
            flight = self._flights.pop(tag, None)
            if flight is not None:
                self._land(tag, flight, outcome)
            return
        while self._first_tag <= min(tag, self._last_tag):
            flight = self._flights.pop(self._first_tag, None)
            if flight is not None:
                self._land(self._first_tag, flight, outcome)
            self._first_tag += 1

    def _land(self, tag: int, flight: Flight, outcome: Outcome) -> None:
        if self._returned and tag in self._returned:
            self._returned.discard(tag)
            if outcome is Outcome.CONFIRMED:  # the ack of a returned message proves nothing
                outcome = Outcome.RETURNED
        self._resolve(flight[0], outcome)

    def _note_return(self, payload: bytes) -> None:
        """Find whose content comes back; its ack follows.

        Returns come in the order of the publishes, and no two messages in flight have one id.
        """
        header = ContentHeader()
        header.unmarshal(payload)
        message_id = header.properties.message_id
        for tag, (_, sent_id, _) in self._flights.items():
            if sent_id == message_id and tag not in self._returned:
                self._returned.add(tag)
                return
        # Some message of ours went nowhere, and its ack would pass for proof: none of them can be trusted.
        self._fail(PublisherClosed(f"the broker returned {message_id!r}, which is not in flight"))
        self._link.abort()

    def _oldest_sent_at(self) -> float | None:
        while self._first_tag <= self._last_tag:
            if (flight := self._flights.get(self._first_tag)) is not None:
                return flight[2]
            self._first_tag += 1
        return None


def unfit(session: Session, channel: AbstractChannel) -> str | None:
    """Say why pipelined publishing must not be used on this channel; None: it may."""
    version = str(aiormq.connection.__version__)
    if not version.startswith(SUPPORTED_AIORMQ):
        return f"it was tested on aiormq {SUPPORTED_AIORMQ}x, and this is {version}"
    if session.link.transport is None or not session.link.frames_seen:
        return "aiormq does not use the transport that it was given"
    if getattr(channel, "delivery_tag", None) != 0:
        return "something was published on the channel before"
    if not _marshals_as_the_library_reads(channel.number, session.frame_max):
        return "the frames that we make are not what the AMQP library reads"
    return None


def _marshals_as_the_library_reads(channel: int, frame_max: int) -> bool:
    data = FrameWriter(channel, frame_max).publish(_SAMPLE, "exchange")
    method_size, _, method = frame.unmarshal(data)
    header_size, header_channel, header = frame.unmarshal(data[method_size:])
    _, _, body = frame.unmarshal(data[method_size + header_size :])
    return (
        header_channel == channel
        and isinstance(method, aiormq.spec.Basic.Publish)
        and (method.exchange, method.routing_key, method.mandatory) == ("exchange", _SAMPLE.routing_key, True)
        and isinstance(header, ContentHeader)
        and header.properties == properties_of(_SAMPLE)
        and getattr(body, "value", None) == _SAMPLE.body
    )
