"""The publisher: many messages a write, many confirms a frame, no task and no future a message.

aio-pika opens the connection and the channel, turns confirms on, and its aiormq sends the heartbeats. From
then on the frames of this one channel are ours: publishes are written straight to the transport, whole frames
at a time, and the link's tap hands us the broker's acks, nacks and returns before aiormq sees them. What is
relied upon is that aiormq uses the transport it was given, and that it sends nothing on a channel that nobody
asks it to use. `check_client` and `check_channel` test what can be tested of that, before anything is
published: a client that does not fit ends the bridge, since a path that nobody measures would be worse.
"""

import asyncio
import struct
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from aio_pika.abc import AbstractChannel
from aiormq import spec
from pamqp import frame
from pamqp.header import ContentHeader

from tms_bridge.broker.encoding import (
    PERSISTENT,
    FrameWriter,
    content_type_of,
    fixed_headers,
    type_of,
    varying_headers,
)
from tms_bridge.broker.link import METHOD_FRAME
from tms_bridge.broker.session import Session
from tms_bridge.errors import ClientUnfit, PublisherClosed
from tms_bridge.message import Kind, Message, Outcome
from tms_events.wire import APP_ID

SUPPORTED: Final = {"aio-pika": "10.", "aiormq": "7."}
"""The versions on which this was tested, by how they begin."""

ENCODING_ERRORS: Final = (TypeError, ValueError, OverflowError, struct.error)
"""What a message that no frame can hold raises; UnicodeError is a ValueError."""

_WATCH_EVERY_S: Final = 1.0
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


class PipelinedPublisher:
    """One confirm channel on one connection, from open to closed.

    Attributes:
        useful: it has had an outcome for anything.
    """

    def __init__(
        self, session: Session, channel: int, *, max_outstanding: int, confirm_timeout_s: float
    ) -> None:
        self._session = session
        self._link = session.link
        self._max_outstanding = max_outstanding
        self._confirm_timeout_s = confirm_timeout_s
        self._loop = asyncio.get_running_loop()
        self._frames = FrameWriter(channel, session.frame_max)
        self._unsent: list[bytes] = []
        self._flights: dict[int, Flight] = {}
        self._returned: set[int] = set()
        self._first_tag = 1
        """No lower tag is in flight."""
        self._last_tag = 0
        self._now = 0.0
        self._outstanding = 0
        self.useful = False
        self._outcomes: list[tuple[int, Outcome]] = []
        self._closed: PublisherClosed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._touched = False
        self._watch_s = min(_WATCH_EVERY_S, confirm_timeout_s / 4)
        self._watch = self._loop.call_later(self._watch_s, self._look_for_late_confirms)
        self._link.publishing_channel = channel
        self._link.claim = self._claim
        self._link.watch(self._link_changed)

    @property
    def room(self) -> int:
        """How many more publishes it takes now; 0 while the broker blocks the connection."""
        if self._closed is not None or self._link.blocked or self._link.stalled:
            return 0
        return self._max_outstanding - self._outstanding

    @property
    def blocked(self) -> bool:
        """Whether the broker's alarm is on."""
        return self._link.blocked

    @property
    def open(self) -> bool:
        """Whether it still publishes."""
        return self._closed is None

    async def outcomes(self) -> list[tuple[int, Outcome]]:
        """Wait for what became of earlier publishes; may be empty when only `room` has changed.

        Raises:
            PublisherClosed: the connection is gone and aborted; keys without an outcome have an unknown fate.
        """
        while not self._outcomes and not self._touched:
            if self._closed is not None:
                await self._session.abort()
                raise self._closed
            self._waiter = self._loop.create_future()
            await self._waiter
        self._touched = False
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    async def close(self) -> None:
        """Close politely if it is open, abort if that takes too long; after it no byte is in flight."""
        if self._closed is None:
            self._fail(PublisherClosed("closed on request"))
            await self._session.close()
        else:
            await self._session.abort()

    def publish(self, key: int, message: Message, exchange: str) -> None:
        """Send one message, persistent and mandatory; its outcome comes from `outcomes` under `key`."""
        try:
            frames = self._frames.publish(message, exchange)
        except ENCODING_ERRORS:
            self._outstanding += 1
            self._resolve(key, Outcome.REFUSED)
            return
        self._outstanding += 1
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

    def _resolve(self, key: int, outcome: Outcome) -> None:
        if self._closed is not None:  # whatever closed it, what comes after proves nothing
            return
        self._outstanding -= 1
        self.useful = True
        if not self._outcomes:
            self._wake()
        self._outcomes.append((key, outcome))

    def _touch(self) -> None:
        self._touched = True
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _link_changed(self) -> None:
        if self._link.lost or self._link.closing is not None:
            self._fail(self._session.closed("the connection was lost"))
        else:
            self._touch()

    def _fail(self, closed: PublisherClosed) -> None:
        if self._closed is None:
            self._closed = closed
            self._watch.cancel()
            self._wake()

    def _look_for_late_confirms(self) -> None:
        now = self._loop.time()
        oldest = self._oldest_sent_at()
        # What an alarm held up counts from the alarm's end.
        waiting = oldest is not None and not self._link.blocked
        if waiting and now - max(oldest or now, self._link.unblocked_at) > self._confirm_timeout_s:
            self._fail(PublisherClosed(f"no confirm within {self._confirm_timeout_s:g} s"))
            self._link.abort()
            return
        self._watch = self._loop.call_later(self._watch_s, self._look_for_late_confirms)


def check_client() -> None:
    """See whether the AMQP client that is installed is one on which the publisher was tested.

    Raises:
        ClientUnfit: it is not; the text says which version is there, and which would do.
    """
    for package, supported in SUPPORTED.items():
        if not (found := version(package)).startswith(supported):
            raise ClientUnfit(f"{package} {found} is installed; this bridge was tested on {supported}x alone")
    if not _marshals_as_the_library_reads(channel=1, frame_max=131_072):
        versions = ", ".join(f"{package} {version(package)}" for package in (*SUPPORTED, "pamqp"))
        raise ClientUnfit(f"the frames that the bridge makes are not what the AMQP client reads ({versions})")


async def check_channel(session: Session, channel: AbstractChannel) -> int:
    """Return the number of a channel that nobody but the publisher uses.

    Raises:
        ClientUnfit: the AMQP client does not work as the publisher needs it; the text says what it does.
    """
    underlay = await channel.get_underlay_channel()
    client = f"aiormq {version('aiormq')}"
    if session.link.transport is None or not session.link.frames_seen:
        raise ClientUnfit(f"{client} does not use the transport that it was given")
    if getattr(underlay, "delivery_tag", None) != 0:
        raise ClientUnfit(f"{client} has published something on the publisher's own channel")
    return underlay.number


def _marshals_as_the_library_reads(*, channel: int, frame_max: int) -> bool:
    data = FrameWriter(channel, frame_max).publish(_SAMPLE, "exchange")
    method_size, _, method = frame.unmarshal(data)
    header_size, header_channel, header = frame.unmarshal(data[method_size:])
    _, _, body = frame.unmarshal(data[method_size + header_size :])
    return (
        header_channel == channel
        and isinstance(method, spec.Basic.Publish)
        and (method.exchange, method.routing_key, method.mandatory) == ("exchange", _SAMPLE.routing_key, True)
        and isinstance(header, ContentHeader)
        and header.properties == properties_of(_SAMPLE)
        and getattr(body, "value", None) == _SAMPLE.body
    )


def properties_of(message: Message) -> spec.Basic.Properties:
    """Return the properties of a message as the AMQP client's own value, to compare frames with."""
    return spec.Basic.Properties(
        content_type=content_type_of(message),
        headers={**fixed_headers(message), **varying_headers(message)},
        delivery_mode=PERSISTENT,
        message_id=message.id,
        timestamp=datetime.fromtimestamp(message.received_at_us // 1_000_000, UTC),
        message_type=type_of(message),
        app_id=APP_ID,
    )
