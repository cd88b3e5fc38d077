"""The fast path: the plain model of the sender's public API, in a few microseconds.

It takes only bodies that the tolerant path would read the same way, and leaves the rest to it: whatever has
another name of a field, a wrapper, an odd encoding or a repeated member.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from tms_bridge.ingest.dates import aware, from_seconds
from tms_bridge.ingest.decoded import Decoded
from tms_bridge.ingest.fields import fold, read_names
from tms_bridge.ingest.status import assignment_status, class_status
from tms_bridge.ingest.values import INT64_MAX, INT64_MIN, Unreadable
from tms_events import Class, CourseAssignment, Trigger

Int = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
Told = datetime | Int | None


class PlainCourseAssignment(msgspec.Struct, rename="pascal", gc=False):
    """The API model, and the status word that the webhook must add to it."""

    id: Int
    status: str | Int | None = None
    external_id: str | None = None
    course_id: Int | None = None
    user_id: Int | None = None
    club_membership_id: Int | None = None
    expire: Told = None
    target_completion: Told = None
    start: Told = None
    complete: Told = None


class PlainClass(msgspec.Struct, rename="pascal", gc=False):
    """The API model; `Status` in the place of `ConfirmationStatusId` is as plain."""

    id: Int
    status: str | Int | None = None
    external_id: str | None = None
    name: str | None = None
    description: str | None = None
    html_description: str | None = None
    enabled: bool | None = None
    confirmation_status_id: str | Int | None = None
    course_id: Int | None = None
    organization_id: Int | None = None
    organization_name: str | None = None
    company_id: Int | None = None
    delivery_type_id: Int | None = None
    virtual_meeting_host_id: Int | None = None
    custom_virtual_classroom_url: str | None = None
    primary_instructor_id: Int | None = None
    instructor_ids: tuple[Int, ...] | None = None
    primary_classroom_id: Int | None = None
    time_zone_id: str | None = None
    min_students: Int | None = None
    max_students: Int | None = None
    allow_self_enrollment: bool | None = None
    is_public: bool | None = None
    disable_labs: bool | None = None
    start: Told = None
    end: Told = None


_assignments = msgspec.json.Decoder(PlainCourseAssignment)
_classes = msgspec.json.Decoder(PlainClass)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

_PLAIN = {
    Trigger.COURSE_ASSIGNMENT: frozenset(PlainCourseAssignment.__struct_encode_fields__),
    Trigger.CLASS: frozenset(PlainClass.__struct_encode_fields__),
}
_READ = {trigger: read_names(trigger) for trigger in Trigger}


def decode_plainly(value: bytes, trigger: Trigger) -> Decoded | None:
    """Decode a JSON value that is the plain model; None if it is anything else."""
    try:
        decoded = _class(value) if trigger is Trigger.CLASS else _assignment(value)
        return decoded if _is_plain(value, trigger) else None
    except (msgspec.DecodeError, Unreadable):
        return None


def _is_plain(value: bytes, trigger: Trigger) -> bool:
    members = _members.decode(value)
    if not _PLAIN[trigger].issuperset(members) and _has_other_names(members, trigger):
        return False
    if "Status" in members and "ConfirmationStatusId" in members:
        return False
    return _no_member_twice(value, members)


def _has_other_names(members: dict[str, msgspec.Raw], trigger: Trigger) -> bool:
    plain, read = _PLAIN[trigger], _READ[trigger]
    return any(name not in plain and fold(name) in read for name in members)


def _no_member_twice(value: bytes, members: dict[str, msgspec.Raw]) -> bool:
    # Every member has its colon, but a dict keeps only one of two equal members: then there are more colons
    # than names. Those inside values count out; one inside a name only sends the body to the tolerant path.
    colons = value.count(b":")
    if colons != len(members):
        colons -= b"".join(members.values()).count(b":")
    return colons == len(members)


def _moment(told: datetime | int | None) -> datetime | None:
    if told is None:
        return None
    return from_seconds(told) if isinstance(told, int) else aware(told)


def _assignment(value: bytes) -> Decoded:
    plain = _assignments.decode(value)
    status = assignment_status(plain.status)
    entity = CourseAssignment(
        id=plain.id,
        external_id=plain.external_id,
        course_id=plain.course_id,
        user_id=plain.user_id,
        club_membership_id=plain.club_membership_id,
        expire=_moment(plain.expire),
        target_completion=_moment(plain.target_completion),
        start=_moment(plain.start),
        complete=_moment(plain.complete),
    )
    return Decoded(entity, status.word, status.raw)


def _class(value: bytes) -> Decoded:
    plain = _classes.decode(value)
    told = plain.status if plain.confirmation_status_id is None else plain.confirmation_status_id
    status = class_status(told)
    entity = Class(
        id=plain.id,
        external_id=plain.external_id,
        name=plain.name,
        description=plain.description,
        html_description=plain.html_description,
        enabled=plain.enabled,
        confirmation_status_id=status.number,
        course_id=plain.course_id,
        organization_id=plain.organization_id,
        organization_name=plain.organization_name,
        company_id=plain.company_id,
        delivery_type_id=plain.delivery_type_id,
        virtual_meeting_host_id=plain.virtual_meeting_host_id,
        custom_virtual_classroom_url=plain.custom_virtual_classroom_url,
        primary_instructor_id=plain.primary_instructor_id,
        instructor_ids=plain.instructor_ids,
        primary_classroom_id=plain.primary_classroom_id,
        time_zone_id=plain.time_zone_id,
        min_students=plain.min_students,
        max_students=plain.max_students,
        allow_self_enrollment=plain.allow_self_enrollment,
        is_public=plain.is_public,
        disable_labs=plain.disable_labs,
        start=_moment(plain.start),
        end=_moment(plain.end),
    )
    return Decoded(entity, status.word, status.raw)
