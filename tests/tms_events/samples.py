"""Events for these tests."""

from datetime import UTC, datetime, timedelta

from tms_events import (
    Class,
    ClassChanged,
    ClassStatus,
    CourseAssignment,
    CourseAssignmentChanged,
    CourseAssignmentStatus,
    StatusFrom,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def class_changed(
    event_id: str = "id-1", *, entity: int = 7, after_s: float = 0, source: str = "contoso"
) -> ClassChanged:
    return ClassChanged(
        id=event_id,
        source=source,
        status=ClassStatus.SCHEDULED,
        raw_status="0",
        status_from=StatusFrom.PAYLOAD,
        received_at=NOON + timedelta(seconds=after_s),
        class_=Class(id=entity, name="Azure", instructor_ids=(1, 2), start=NOON),
        payload={"Id": 7},
    )


def assignment_changed() -> CourseAssignmentChanged:
    return CourseAssignmentChanged(
        id="id-2",
        source="contoso",
        status=CourseAssignmentStatus.STARTED,
        raw_status=None,
        status_from=StatusFrom.DERIVED,
        received_at=NOON,
        course_assignment=CourseAssignment(id=7, start=NOON),
        payload={"Id": 7},
    )
