"""The two messages of the bridge, one for each trigger event."""

from typing import ClassVar

import msgspec

from tms_events.class_ import Class
from tms_events.course_assignment import CourseAssignment, Moment
from tms_events.reading import NOTHING_TO_SAY, Reading
from tms_events.status import ClassStatus, CourseAssignmentStatus, StatusFrom
from tms_events.trigger import Trigger

_OMITTED = msgspec.Raw(b"")
"""The one value that `omit_defaults` leaves out."""


def _no_word() -> None:
    """Make a default that `omit_defaults` does not know: a status without a word is sent as null."""


class CourseAssignmentChanged(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    omit_defaults=True,
    tag_field="trigger",
    tag="course_assignment",
):
    """TMS said that a course assignment was started, completed, expired or cancelled.

    Attributes:
        id: UUIDv7 that the bridge gave the event; equal on every copy of it, and the AMQP `message_id`.
        source: name of the configured sender, an organisation in TMS.
        status: what the sender said, in the vocabulary of this package.
        raw_status: the sender's own word or number for it; None where the body told none.
        status_from: whether the sender said it or the bridge derived it from the dates.
        received_at: when the bridge first took the body in, by the bridge's clock; to the microsecond.
        course_assignment: what the body told of the assignment.
        reading: what could not be read, or was assumed; empty where there is nothing to say.
        payload: the sender's JSON value, byte for byte. `msgspec.json.decode(event.payload)` reads it.
            Empty bytes where the source is set to omit it.
    """

    trigger: ClassVar[Trigger] = Trigger.COURSE_ASSIGNMENT

    id: str
    source: str
    status: CourseAssignmentStatus
    raw_status: str | None = msgspec.field(default_factory=_no_word)
    status_from: StatusFrom
    received_at: Moment
    course_assignment: CourseAssignment
    reading: Reading = NOTHING_TO_SAY
    payload: msgspec.Raw = _OMITTED


class ClassChanged(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    omit_defaults=True,
    tag_field="trigger",
    tag="class",
    rename={"class_": "class"},
):
    """TMS said that the status of a class changed.

    Attributes:
        id: UUIDv7 that the bridge gave the event; equal on every copy of it, and the AMQP `message_id`.
        source: name of the configured sender, an organisation in TMS.
        status: what the sender said, in the vocabulary of this package.
        raw_status: the sender's own word or number for it; None where the body told none.
        status_from: always `payload`: nothing else in a class tells its status.
        received_at: when the bridge first took the body in, by the bridge's clock; to the microsecond.
        class_: what the body told of the class; the JSON member is `class`.
        reading: what could not be read, or was assumed; empty where there is nothing to say.
        payload: the sender's JSON value, byte for byte. `msgspec.json.decode(event.payload)` reads it.
            Empty bytes where the source is set to omit it.
    """

    trigger: ClassVar[Trigger] = Trigger.CLASS

    id: str
    source: str
    status: ClassStatus
    raw_status: str | None = msgspec.field(default_factory=_no_word)
    status_from: StatusFrom
    received_at: Moment
    class_: Class
    reading: Reading = NOTHING_TO_SAY
    payload: msgspec.Raw = _OMITTED


Event = CourseAssignmentChanged | ClassChanged
"""Any message of the bridge."""


def entity_id(event: Event) -> int:
    """Return TMS's number of the course assignment or class that changed."""
    return event.class_.id if isinstance(event, ClassChanged) else event.course_assignment.id
