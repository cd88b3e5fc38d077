"""What ingest makes of a body, before it becomes a message."""

import msgspec

from tms_events import Class, ClassStatus, CourseAssignment, CourseAssignmentStatus, StatusFrom


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A body understood.

    Attributes:
        entity: the course assignment or class, as its trigger says.
        status: of the same trigger.
        raw_status: the sender's own word or number; None where it told none.
        status_from: the payload, or the dates of a course assignment.
    """

    entity: CourseAssignment | Class
    status: CourseAssignmentStatus | ClassStatus
    raw_status: str | None
    status_from: StatusFrom = StatusFrom.PAYLOAD
