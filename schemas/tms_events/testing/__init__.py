"""A kit for consumers' tests: events, messages as a broker delivers them, and all that can happen on the way.

    event = make_event("class", "scheduled", name="Azure", max_students=12)
    handle(deliver(event).body)

`tms_events.testing.strategies` has strategies for Hypothesis, `.plugin` fixtures for pytest.
"""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Unpack, overload

import msgspec

from tms_events import topics, wire
from tms_events.artefact.golden import TRACEPARENT, digest_of
from tms_events.class_ import Class
from tms_events.course_assignment import CourseAssignment
from tms_events.decoding import encode
from tms_events.event import ClassChanged, CourseAssignmentChanged, Event
from tms_events.testing.members import ClassMembers, CourseAssignmentMembers, EventMembers

__all__ = [
    "POISON",
    "ClassMembers",
    "CourseAssignmentMembers",
    "Delivery",
    "deliver",
    "disturb",
    "make_event",
]

POISON = b'{"trigger": "class", "id": 5'
"""A body that is no event, however often it is delivered."""

_BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
_numbers = itertools.count(1)
_EVENT_MEMBERS = frozenset(EventMembers.__annotations__) - {"entity_id"}

Trigger = Literal["class", "course_assignment"]


@overload
def make_event(
    trigger: Literal["class"], status: str = ..., **members: Unpack[ClassMembers]
) -> ClassChanged: ...
@overload
def make_event(
    trigger: Literal["course_assignment"], status: str = ..., **members: Unpack[CourseAssignmentMembers]
) -> CourseAssignmentChanged: ...
def make_event(trigger: Trigger, status: str | None = None, **members: Any) -> Event:
    """Return an event with sensible members; each call makes a newer one, with an id of its own.

    Args:
        trigger: `class` or `course_assignment`.
        status: any word, also one that nobody knows; `scheduled` or `started` if left out.
        members: of the event, or of its class or course assignment, by the names of the structs; `entity_id`
            is TMS's number of the class or course assignment, 7 if left out.

    Raises:
        TypeError: there is no such member.
        msgspec.ValidationError: a member is of another type; the text says which.
    """
    entity = Class if trigger == "class" else CourseAssignment
    inner = {name: members.pop(name) for name in [*members] if name in _names(entity) - {"id"}}
    inner["id"] = members.pop("entity_id", 7)
    if unknown := members.keys() - set(_EVENT_MEMBERS):
        raise TypeError(f"a {trigger} event has no member {', '.join(sorted(unknown))}")
    word = status or ("scheduled" if trigger == "class" else "started")
    told = {"status": word, **msgspec.to_builtins(inner)}
    whole = {
        **_defaults(next(_numbers)),
        "trigger": trigger,
        "status": word,
        "raw_status": word,
        "payload": {_pascal(name): value for name, value in told.items()},
        trigger: inner,
        **members,
    }
    event: Event = msgspec.convert(whole, Event)
    return event


def _defaults(number: int) -> dict[str, object]:
    received_at = _BEGIN + timedelta(seconds=number)
    milliseconds = f"{int(received_at.timestamp() * 1000):012x}"
    return {
        "id": f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-{number:012x}",
        "source": "contoso",
        "status_from": "payload",
        "received_at": received_at,
    }


def _names(struct: type[msgspec.Struct]) -> set[str]:
    return set(struct.__struct_fields__)


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a broker delivers it, whichever client one uses.

    Attributes:
        body: what `decode` reads.
        routing_key: such as `tms.class.scheduled`.
        message_id: the AMQP property.
        headers: the AMQP headers.
        redelivered: whether the broker delivers it again.
    """

    body: bytes
    routing_key: str
    message_id: str
    headers: dict[str, str | bool]
    redelivered: bool = False


def deliver(event: Event, *, redelivered: bool = False, replayed: bool = False) -> Delivery:
    """Return the message of an event; an unknown status is routed as `unknown`, as the bridge does."""
    known = event.status in topics.STATUSES[event.trigger]
    return Delivery(
        body=encode(event),
        routing_key=topics.topic(event.trigger, event.status if known else "unknown"),
        message_id=event.id,
        headers=wire.headers(event, digest_of(event), TRACEPARENT, replayed=replayed),
        redelivered=redelivered,
    )


def disturb(events: Iterable[Event]) -> list[Delivery]:
    """Return the deliveries of events as a bad day makes them.

    Each event comes twice, the second time redelivered, and the first of all comes a third time at the very
    end, when newer ones of its entity were dealt with. A consumer must be where it would be had each come
    once, in order.
    """
    ordered = list(events)
    twice = [one for event in ordered for one in (deliver(event), deliver(event, redelivered=True))]
    return [*twice, *(deliver(event, redelivered=True, replayed=True) for event in ordered[:1])]
