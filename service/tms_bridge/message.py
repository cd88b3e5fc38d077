"""One message on its way to the bus: the value that ingest makes, the outbox keeps and the broker sends."""

import enum
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

UNROUTABLE_EXCHANGE = "tms.unroutable"
"""Fanout exchange (and quorum queue) for events that no queue wanted."""

QUARANTINE_EXCHANGE = "tms.quarantine"
"""Fanout exchange (and quorum queue) for bodies that could not be understood."""


AROUND_BODY_BYTES = 1024
"""About what a message costs in memory besides its body: most bodies are shorter than that."""


class Kind(enum.StrEnum):
    """What a message carries."""

    EVENT = "event"
    QUARANTINE = "quarantine"


class Message(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What is published, once, with everything that the wire needs; array-like because the journal stores it.

    Attributes:
        id: the event's UUIDv7, or the quarantine id; the AMQP `message_id`.
        kind: an event, or the copy of a quarantined body.
        source: the configured source that sent it.
        trigger: `course_assignment` or `class`.
        status: the status word of the routing key; empty for a quarantined body.
        routing_key: at most 255 bytes, made of checked parts.
        entity: decimal id of the course assignment or class; empty for a quarantined body.
        received_at_us: when the body was first taken in, Unix microseconds.
        digest: hex BLAKE2b-256 of source, NUL, trigger, NUL, body.
        traceparent: W3C trace context of this delivery, always valid.
        body: what the AMQP body holds: JSON of the event, or the raw quarantined bytes.
        replayed: true when an operator sent it again.
        reason: why the body was quarantined; empty for an event.
        test: true when an operator sent it to try the way; nothing has happened in TMS.
    """

    id: str
    kind: Kind
    source: str
    trigger: str
    status: str
    routing_key: str
    entity: str
    received_at_us: int
    digest: str
    traceparent: str
    body: bytes
    replayed: bool = False
    reason: str = ""
    test: bool = False

    @property
    def memory_bytes(self) -> int:
        """About what it costs in memory."""
        return len(self.body) + AROUND_BODY_BYTES

    @property
    def order_key(self) -> str:
        """Messages that share it leave one after the other (invariants 3 and 8)."""
        return f"{self.source}/{self.trigger}/{self.entity or self.id}"


class Messages:
    """The last delivered messages, for an operator who opens one: in memory alone, by bytes."""

    def __init__(self, max_bytes: int = 6 << 20) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._messages: OrderedDict[str, Message] = OrderedDict()

    def note(self, message: Message) -> None:
        """Keep a message, and forget the oldest where there is no room."""
        former = self._messages.pop(message.id, None)
        self._bytes += message.memory_bytes - (former.memory_bytes if former is not None else 0)
        self._messages[message.id] = message
        while self._bytes > self._max_bytes:
            self._bytes -= self._messages.popitem(last=False)[1].memory_bytes

    def find(self, event_id: str) -> Message | None:
        """Return the message of an event, if it is still kept."""
        return self._messages.get(event_id)


class ReceivedClock:
    """The time at which bodies are received, in Unix microseconds, which never falls.

    Consumers take the later `received_at` of an entity for the newer one, and of one moment the greater id.
    A wall clock that is set back would make them drop a real event, so it counts only from where the newest
    body was; and from after it in a new life of the bridge, whose ids may be less than the former one's.

    Args:
        newest_us: when the newest body of the bridge's former lives was received.
    """

    def __init__(
        self, newest_us: int = 0, now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._last_us = newest_us + 1
        self._now_us = now_us

    def __call__(self) -> int:
        """Return now, or the last answer where that was later."""
        self._last_us = max(self._last_us, self._now_us())
        return self._last_us


class Outcome(enum.Enum):
    """What the broker made of one publish."""

    CONFIRMED = "confirmed"
    """Acked and routed: every queue that it went to has it."""

    RETURNED = "returned"
    """No queue wanted it; the broker returned it (and acked, which proves nothing)."""

    NACKED = "nacked"
    """A queue refused it, for instance because it is full; worth another try later."""

    REFUSED = "refused"
    """The client library cannot encode it; no retry will change that."""
