"""Golden messages: one for each routing key, and one for each thing that a consumer may meet besides.

They are what the bridge sends for the sample bodies in `examples/bodies`; consumers in any language test
against them.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tms_events import topics, wire
from tms_events.class_ import Class
from tms_events.course_assignment import CourseAssignment
from tms_events.decoding import to_dict
from tms_events.event import ClassChanged, CourseAssignmentChanged, Event
from tms_events.reading import Reading
from tms_events.status import ClassStatus, CourseAssignmentStatus, StatusFrom

SOURCE = "contoso"
TRACEPARENT = "00-cc71844401d741660176c967c53ff905-5e3e59bddadd0d82-01"

_BEGIN = datetime(2026, 1, 5, 8, 0, 0, 198447, tzinfo=UTC)

_CLASS_PAYLOAD: dict[str, Any] = {
    "Id": 48213,
    "ExternalId": "AZ-900-48213",
    "Name": "Azure Fundamentals",
    "Description": "Two days, instructor-led",
    "HtmlDescription": None,
    "Enabled": True,
    "ConfirmationStatusId": 0,
    "CourseId": 77,
    "OrganizationId": 12,
    "OrganizationName": "Contoso",
    "CompanyId": 3,
    "DeliveryTypeId": 2,
    "VirtualMeetingHostId": None,
    "CustomVirtualClassroomUrl": None,
    "PrimaryInstructorId": 91,
    "InstructorIds": [91, 92],
    "PrimaryClassroomId": None,
    "TimeZoneId": "W. Europe Standard Time",
    "MinStudents": 4,
    "MaxStudents": 12,
    "AllowSelfEnrollment": False,
    "IsPublic": True,
    "DisableLabs": False,
    "ClassMeetings": [],
    "Start": 1767600000,
    "End": 1767715200,
}
_CLASS = Class(
    id=48213,
    external_id="AZ-900-48213",
    name="Azure Fundamentals",
    description="Two days, instructor-led",
    enabled=True,
    course_id=77,
    organization_id=12,
    organization_name="Contoso",
    company_id=3,
    delivery_type_id=2,
    primary_instructor_id=91,
    instructor_ids=(91, 92),
    time_zone_id="W. Europe Standard Time",
    min_students=4,
    max_students=12,
    allow_self_enrollment=False,
    is_public=True,
    disable_labs=False,
    start=datetime(2026, 1, 5, 8, tzinfo=UTC),
    end=datetime(2026, 1, 6, 16, tzinfo=UTC),
    time_zone="Europe/Berlin",
)
_CONFIRMATION_STATUS_IDS = {
    ClassStatus.SCHEDULED: 0,
    ClassStatus.GUARANTEED_TO_RUN: 1,
    ClassStatus.CANCELLED: 2,
    ClassStatus.RESCHEDULED: 3,
    ClassStatus.TENTATIVE: 4,
    ClassStatus.REQUESTED: 5,
    ClassStatus.DENIED: 6,
    ClassStatus.COMPLETED: 7,
    ClassStatus.UNKNOWN: 9,
}

_ASSIGNMENT_PAYLOAD: dict[str, Any] = {
    "Id": 90417,
    "Status": "Completed",
    "ExternalId": None,
    "CourseId": 77,
    "UserId": 5031,
    "ClubMembershipId": None,
    "Expire": 1772000000,
    "TargetCompletion": 1770000000,
    "Start": 1767600000,
    "Complete": 1767715200,
}
_NOT_COMPLETED: dict[str, int | None] = {"Complete": None}
_DATES: dict[CourseAssignmentStatus, dict[str, int | None]] = {
    CourseAssignmentStatus.STARTED: _NOT_COMPLETED,
    CourseAssignmentStatus.EXPIRED: _NOT_COMPLETED | {"Expire": 1767700000},
    CourseAssignmentStatus.CANCELLED: _NOT_COMPLETED | {"Start": None},
}
"""Where the dates of an assignment differ from those of a completed one."""


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """One message, whole.

    Attributes:
        name: of its file, without `.json`.
        event: what its body holds.
        replayed: whether an operator sent it again.
    """

    name: str
    event: Event
    replayed: bool = False

    def document(self, exchange: str = topics.EXCHANGE, prefix: str = topics.PREFIX) -> dict[str, Any]:
        """Return the message as JSON, in the words of `tms-bridge tail`."""
        event = self.event
        return {
            "routing_key": topics.topic(event.trigger, event.status, prefix),
            "exchange": exchange,
            "properties": wire.properties(event),
            "headers": wire.headers(event, digest_of(event), TRACEPARENT, replayed=self.replayed),
            "body": to_dict(event),
        }


def golden_messages() -> list[Golden]:
    """Return them all: first one for each routing key, in the order of `TOPICS`."""
    return [*_one_of_each(), *_special()]


def _one_of_each() -> Iterator[Golden]:
    events: list[Event] = [
        _assignment(status, number) for number, status in enumerate(CourseAssignmentStatus)
    ]
    events += [_class(status, len(events) + number) for number, status in enumerate(ClassStatus)]
    for event in events:
        yield Golden(name=f"{event.trigger}.{event.status}", event=event)


def _special() -> Iterator[Golden]:
    untold = _class(ClassStatus.UNKNOWN, 20)
    payload = {name: value for name, value in untold.payload.items() if name != "ConfirmationStatusId"}
    entity = msgspec.structs.replace(_CLASS, confirmation_status_id=None)
    untold = msgspec.structs.replace(untold, raw_status=None, payload=payload, class_=entity)
    yield Golden(name="class.unknown.untold", event=untold)
    told = _assignment(CourseAssignmentStatus.COMPLETED, 21)
    payload = {name: value for name, value in told.payload.items() if name != "Status"}
    derived = msgspec.structs.replace(told, raw_status=None, status_from=StatusFrom.DERIVED, payload=payload)
    yield Golden(name="course_assignment.completed.derived", event=derived)
    yield Golden(name="class.scheduled.reading", event=_unread(_class(ClassStatus.SCHEDULED, 22)))
    silent = msgspec.structs.replace(_class(ClassStatus.CANCELLED, 23), payload=None)
    yield Golden(name="class.cancelled.without_payload", event=silent)
    yield Golden(name="class.completed.replayed", event=_class(ClassStatus.COMPLETED, 24), replayed=True)


def _class(status: ClassStatus, number: int) -> ClassChanged:
    told = _CONFIRMATION_STATUS_IDS[status]
    return ClassChanged(
        id=_event_id(number),
        source=SOURCE,
        status=status,
        raw_status=str(told),
        status_from=StatusFrom.PAYLOAD,
        received_at=_received_at(number),
        class_=msgspec.structs.replace(_CLASS, confirmation_status_id=told),
        payload=_CLASS_PAYLOAD | {"ConfirmationStatusId": told},
    )


def _unread(event: ClassChanged) -> ClassChanged:
    # The room is a word where a number is expected, and the end tells no offset from UTC.
    payload = event.payload | {"PrimaryClassroomId": "Room 5", "End": "2026-01-06T17:00:00"}
    reading = Reading(unread=("primary_classroom_id",), assumed=("end",))
    return msgspec.structs.replace(event, reading=reading, payload=payload)


def _assignment(status: CourseAssignmentStatus, number: int) -> CourseAssignmentChanged:
    told = "Paused" if status is CourseAssignmentStatus.UNKNOWN else status.capitalize()
    payload = _ASSIGNMENT_PAYLOAD | {"Status": told} | _DATES.get(status, {})
    return CourseAssignmentChanged(
        id=_event_id(number),
        source=SOURCE,
        status=status,
        raw_status=told,
        status_from=StatusFrom.PAYLOAD,
        received_at=_received_at(number),
        course_assignment=CourseAssignment(
            id=payload["Id"],
            course_id=payload["CourseId"],
            user_id=payload["UserId"],
            expire=_moment(payload["Expire"]),
            target_completion=_moment(payload["TargetCompletion"]),
            start=_moment(payload["Start"]),
            complete=_moment(payload["Complete"]),
        ),
        payload=payload,
    )


def _moment(unix_s: int | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)


def _received_at(number: int) -> datetime:
    return _BEGIN + timedelta(minutes=number)


def _event_id(number: int) -> str:
    milliseconds = f"{int(_received_at(number).timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-{number:012x}"


def digest_of(event: Event) -> str:
    """Return the digest of an event whose body was its payload, written as compactly as can be."""
    payload = event.payload if event.payload is not None else _CLASS_PAYLOAD
    body = msgspec.json.encode(payload)
    return hashlib.blake2b(f"{event.source}\0{event.trigger}\0".encode() + body, digest_size=32).hexdigest()
