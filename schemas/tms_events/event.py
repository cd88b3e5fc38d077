"""The two messages of the bridge, one for each trigger event.

In Python a `payload` that was left out is None and a `reading` that was left out is an empty one. `class_`
stands for the member `class`, which is a word of the language.
"""

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from tms_events import pydantic_support
from tms_events.class_ import Class
from tms_events.course_assignment import CourseAssignment, Moment
from tms_events.reading import NOTHING_TO_SAY, Reading
from tms_events.status import ClassStatus, CourseAssignmentStatus, StatusFrom
from tms_events.trigger import Trigger

EventId = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
"""A UUIDv7 as text."""


def _no_word() -> None:
    """Make a default that `omit_defaults` does not know: a status without a word is sent as null."""


class _Changed(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What both events can do beside holding members."""

    id: EventId
    source: str

    def __hash__(self) -> int:
        # Equal events have equal ids, and a payload of dictionaries could not be hashed.
        return hash(self.id)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> pydantic_support.CoreSchema:
        return pydantic_support.core_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: object, _handler: object) -> dict[str, object]:
        return pydantic_support.json_schema(cls)


class CourseAssignmentChanged(
    _Changed, frozen=True, kw_only=True, gc=False, tag_field="trigger", tag="course_assignment"
):
    """TMS said that a course assignment was started, completed, expired or cancelled.

    Attributes:
        id: UUIDv7 that the bridge gave the event; equal on every copy of it, and the AMQP `message_id`.
        source: name of the configured sender, an organisation in TMS.
        status: what the sender said, in the words of this contract; later versions may add words.
        raw_status: the sender's own word or number for it; None where the body told none.
        status_from: whether the sender said it or the bridge derived it from the dates.
        received_at: when the bridge first took the body in, by the bridge's clock; to the microsecond.
        course_assignment: what the body told of the assignment.
        reading: what could not be read, or was assumed; left out where there is nothing to say.
        payload: the sender's JSON value; left out where the source is set to omit it.
    """

    trigger: ClassVar[Literal[Trigger.COURSE_ASSIGNMENT]] = Trigger.COURSE_ASSIGNMENT

    status: CourseAssignmentStatus
    raw_status: str | None = msgspec.field(default_factory=_no_word)
    status_from: StatusFrom
    received_at: Moment
    course_assignment: CourseAssignment
    reading: Reading = NOTHING_TO_SAY
    payload: Any = None  # any JSON: only the consumer knows what its sender puts there


class ClassChanged(
    _Changed,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="trigger",
    tag="class",
    rename={"class_": "class"},
):
    """TMS said that the status of a class changed.

    Attributes:
        id: UUIDv7 that the bridge gave the event; equal on every copy of it, and the AMQP `message_id`.
        source: name of the configured sender, an organisation in TMS.
        status: what the sender said, in the words of this contract; later versions may add words.
        raw_status: the sender's own word or number for it; None where the body told none.
        status_from: `payload` today: nothing else in a class tells its status.
        received_at: when the bridge first took the body in, by the bridge's clock; to the microsecond.
        class_: what the body told of the class.
        reading: what could not be read, or was assumed; left out where there is nothing to say.
        payload: the sender's JSON value; left out where the source is set to omit it.
    """

    trigger: ClassVar[Literal[Trigger.CLASS]] = Trigger.CLASS

    status: ClassStatus
    raw_status: str | None = msgspec.field(default_factory=_no_word)
    status_from: StatusFrom
    received_at: Moment
    class_: Class
    reading: Reading = NOTHING_TO_SAY
    payload: Any = None  # any JSON: only the consumer knows what its sender puts there


Event = CourseAssignmentChanged | ClassChanged
"""Any message of the bridge."""


def entity_id(event: Event) -> int:
    """Return TMS's number of the course assignment or class that changed, unique in its source."""
    return event.class_.id if isinstance(event, ClassChanged) else event.course_assignment.id


def entity_key(event: Event) -> str:
    """Return what names the entity among all sources and triggers, such as `contoso/class/4711`."""
    return f"{event.source}/{event.trigger}/{entity_id(event)}"
