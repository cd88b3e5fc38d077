"""What ingest makes of a body, before it becomes a message."""

from collections.abc import Container
from datetime import datetime
from typing import Final

import msgspec

from tms_events import Class, ClassStatus, CourseAssignment, CourseAssignmentStatus, StatusFrom
from tms_events.reading import NOTHING_TO_SAY, Reading

STATUS: Final = "status"
"""How `reading` calls a status that could not be read."""


_DERIVED: Final = (
    ("complete", CourseAssignmentStatus.COMPLETED),
    ("expire", CourseAssignmentStatus.EXPIRED),
    ("start", CourseAssignmentStatus.STARTED),
)


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A body understood.

    Attributes:
        entity: the course assignment or class, as its trigger says.
        status: of the same trigger.
        raw_status: the sender's own word or number; None where it told none.
        status_from: the payload, or the dates of a course assignment.
        reading: what could not be read, and what was assumed.
    """

    entity: CourseAssignment | Class
    status: CourseAssignmentStatus | ClassStatus
    raw_status: str | None
    status_from: StatusFrom = StatusFrom.PAYLOAD
    reading: Reading = NOTHING_TO_SAY


def with_derived_status(decoded: Decoded, received_at: datetime) -> Decoded:
    """Return the same with a derived status if it is a course assignment that tells none."""
    unread = decoded.reading.unread
    if decoded.raw_status is not None or STATUS in unread or not isinstance(decoded.entity, CourseAssignment):
        return decoded
    status = derive(decoded.entity, received_at, unread)
    return msgspec.structs.replace(decoded, status=status, status_from=StatusFrom.DERIVED)


def derive(
    assignment: CourseAssignment, received_at: datetime, unread: Container[str]
) -> CourseAssignmentStatus:
    """Return completed, expired, started or unknown, in this order; a cancellation leaves no date.

    A date that is there and cannot be read (`unread`) could mean anything, so that nothing after it counts.
    """
    for field, status in _DERIVED:
        if field in unread:
            break
        moment = getattr(assignment, field)
        if moment is not None and (field != "expire" or moment <= received_at):
            return status
    return CourseAssignmentStatus.UNKNOWN
