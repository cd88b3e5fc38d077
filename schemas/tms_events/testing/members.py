"""The names and types of what `make_event` takes, for type checkers."""

from datetime import datetime
from typing import Any, TypedDict

from tms_events.reading import Reading


class EventMembers(TypedDict, total=False):
    """Members that both events have; `entity_id` is TMS's number of the class or course assignment."""

    entity_id: int
    id: str
    source: str
    raw_status: str | None
    status_from: str
    received_at: datetime
    reading: Reading
    payload: Any


class CourseAssignmentMembers(EventMembers, total=False):
    """Members of a course assignment and its event."""

    external_id: str | None
    course_id: int | None
    user_id: int | None
    club_membership_id: int | None
    expire: datetime | None
    target_completion: datetime | None
    start: datetime | None
    complete: datetime | None


class ClassMembers(EventMembers, total=False):
    """Members of a class and its event."""

    external_id: str | None
    name: str | None
    description: str | None
    html_description: str | None
    enabled: bool | None
    confirmation_status_id: int | None
    course_id: int | None
    organization_id: int | None
    organization_name: str | None
    company_id: int | None
    delivery_type_id: int | None
    virtual_meeting_host_id: int | None
    custom_virtual_classroom_url: str | None
    primary_instructor_id: int | None
    instructor_ids: tuple[int, ...] | None
    primary_classroom_id: int | None
    time_zone_id: str | None
    min_students: int | None
    max_students: int | None
    allow_self_enrollment: bool | None
    is_public: bool | None
    disable_labs: bool | None
    start: datetime | None
    end: datetime | None
    time_zone: str | None
