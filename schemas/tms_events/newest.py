"""Newest wins: for consumers who keep the state of each entity and may see copies or several replicas.

The bridge delivers at least once, and only one replica's events are in order. A consumer that stores "class 7
is scheduled" wants to ignore a copy, and an older event that arrives after a newer one. What it remembers is
one record an entity, so that its memory is bounded and a forgotten entity costs one superfluous write.

Not for handlers that act (a late older event is dropped, and its mail never sent), not across restarts (it
forgets), not where the replicas' clocks differ; its digests only where all statuses of an entity are bound.
"""

import enum
from collections import OrderedDict
from datetime import datetime, timedelta

import msgspec

from tms_events.event import Event, entity_id

DIGEST_HEADER = "tms-digest"
"""AMQP header with the digest of source, trigger and body: equal on every replica that took a body in."""

COPY_WINDOW = timedelta(minutes=2)
"""Two equal bodies received further apart than this are two events."""


class Verdict(enum.Enum):
    """What to make of an event."""

    FRESH = "fresh"
    """It is the newest of its entity: act on it."""

    COPY = "copy"
    """It was dealt with already: acknowledge it and do nothing."""

    STALE = "stale"
    """A newer event of the same entity was dealt with: acknowledge it and do nothing."""


class _Last(msgspec.Struct, frozen=True):
    received_at: datetime
    id: str
    digest: str | None


class Newest:
    """Remembers the newest event of each entity; not for several threads at once.

    It reads no clock: the events' own `received_at` (the bridge's clocks, in UTC) is the time.

        verdict = newest.judge(event, digest)
        if verdict is Verdict.FRESH:
            store(event)
            newest.remember(event, digest)

    Judge and remember are two calls so that an event whose handling failed is fresh when it comes again.
    """

    def __init__(self, max_entities: int = 100_000, copy_window: timedelta = COPY_WINDOW) -> None:
        """Remember up to `max_entities` entities, forgetting first the one that was quiet longest.

        Args:
            max_entities: bound of memory, some 400 bytes each.
            copy_window: how far apart in `received_at` two equal bodies may be and still count as copies.

        Raises:
            ValueError: `max_entities` is less than one.
        """
        if max_entities < 1:
            raise ValueError("max_entities must be at least 1")
        self._max_entities = max_entities
        self._copy_window = copy_window
        self._last: OrderedDict[tuple[str, str, int], _Last] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def judge(self, event: Event, digest: str | None = None) -> Verdict:
        """Say whether to act on an event; changes nothing.

        Args:
            event: as `decode` returned it.
            digest: the message's `tms-digest` header. With it, the same body taken in by two replicas within
                the window counts as one; leave it out where a rare second copy does no harm.
        """
        last = self._last.get(_entity(event))
        if last is None:
            return Verdict.FRESH
        if event.id == last.id or self._repeats(event, digest, last):
            return Verdict.COPY
        # Ids are UUIDv7 and so rise with time; they decide between two events of one microsecond.
        newer = (event.received_at, event.id) > (last.received_at, last.id)
        return Verdict.FRESH if newer else Verdict.STALE

    def remember(self, event: Event, digest: str | None = None) -> None:
        """Note that an event was dealt with; an event that is not fresh changes nothing."""
        if self.judge(event, digest) is not Verdict.FRESH:
            return
        entity = _entity(event)
        self._last[entity] = _Last(event.received_at, event.id, digest)
        self._last.move_to_end(entity)
        if len(self._last) > self._max_entities:
            self._last.popitem(last=False)

    def _repeats(self, event: Event, digest: str | None, last: _Last) -> bool:
        # Only the newest is compared: after A, B the body of A again is an administrator's undo, no copy.
        if digest is None or digest != last.digest:
            return False
        return abs(event.received_at - last.received_at) <= self._copy_window


def _entity(event: Event) -> tuple[str, str, int]:
    return event.source, event.trigger, entity_id(event)
