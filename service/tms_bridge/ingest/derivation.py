"""The status that a course assignment's dates suggest, for operators who choose so."""

from datetime import datetime

import msgspec

from tms_bridge.ingest.decoded import Decoded
from tms_events import CourseAssignment, CourseAssignmentStatus, StatusFrom


def derive(assignment: CourseAssignment, received_at: datetime) -> CourseAssignmentStatus:
    """Return completed, expired, started or unknown, in this order; a cancellation leaves no date."""
    if assignment.complete is not None:
        return CourseAssignmentStatus.COMPLETED
    if assignment.expire is not None and assignment.expire <= received_at:
        return CourseAssignmentStatus.EXPIRED
    if assignment.start is not None:
        return CourseAssignmentStatus.STARTED
    return CourseAssignmentStatus.UNKNOWN


def with_derived_status(decoded: Decoded, received_at: datetime) -> Decoded:
    """Return the same with a derived status if it is a course assignment that tells none."""
    if decoded.raw_status is not None or not isinstance(decoded.entity, CourseAssignment):
        return decoded
    status = derive(decoded.entity, received_at)
    return msgspec.structs.replace(decoded, status=status, status_from=StatusFrom.DERIVED)
