"""A course assignment, as far as the bridge reads it."""

from datetime import datetime
from typing import Annotated

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment, in UTC; `Reading.assumed` names those that the sender told without an offset."""


class CourseAssignment(msgspec.Struct, frozen=True, gc=False):
    """A student's access to one course for some time.

    Source: the sender's body, member names as in the TMS API 2.0 model in snake_case. A member that the
    body did not hold, or held as null, is None. What is not listed here is still in the event's `payload`.

    Attributes:
        id: TMS's number of the assignment; with the event's `source` it names the entity.
        external_id: the number or name that the customer's own system gave it.
        course_id: the course.
        user_id: the student.
        club_membership_id: the membership that paid for it.
        expire: when access ends.
        target_completion: when the student is meant to be done.
        start: when the student began; None before that.
        complete: when the student completed the course; None before that.
    """

    id: int
    external_id: str | None = None
    course_id: int | None = None
    user_id: int | None = None
    club_membership_id: int | None = None
    expire: Moment | None = None
    target_completion: Moment | None = None
    start: Moment | None = None
    complete: Moment | None = None
