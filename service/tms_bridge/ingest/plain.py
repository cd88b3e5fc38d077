"""The fast path: the plain model of the sender's public API, in a few microseconds.

It takes only bodies that the tolerant path would read the same way, and leaves the rest to it: whatever has
another name of a field, a wrapper, an odd encoding or a repeated member.
"""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec.structs import astuple

from tms_bridge.ingest.decoded import Decoded
from tms_bridge.ingest.fields import fold, read_names
from tms_bridge.ingest.model import is_other_trigger
from tms_bridge.ingest.status import assignment_status, class_status
from tms_bridge.ingest.values import (
    INT64_MAX,
    INT64_MIN,
    UnreadableValue,
    is_blank,
    moment_of,
    zone_of,
)
from tms_events import Class, CourseAssignment, StatusFrom, Trigger
from tms_events.reading import NOTHING_TO_SAY, Reading

Int = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
Told = datetime | Int | None


class PlainCourseAssignment(msgspec.Struct, rename="pascal", gc=False):
    """The API model, and last the status word that the webhook must add to it; else as `CourseAssignment`."""

    id: Int
    external_id: str | None = None
    course_id: Int | None = None
    user_id: Int | None = None
    club_membership_id: Int | None = None
    expire: Told = None
    target_completion: Told = None
    start: Told = None
    complete: Told = None
    status: str | Int | None = None


class PlainClass(msgspec.Struct, rename="pascal", gc=False):
    """The API model, and last `Status`, as plain as `ConfirmationStatusId`; else in the order of `Class`."""

    id: Int
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
    status: str | Int | None = None


_assignments = msgspec.json.Decoder(PlainCourseAssignment)
_classes = msgspec.json.Decoder(PlainClass)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

_anything = msgspec.json.Decoder()

_PLAIN = {
    Trigger.COURSE_ASSIGNMENT: frozenset(PlainCourseAssignment.__struct_encode_fields__),
    Trigger.CLASS: frozenset(PlainClass.__struct_encode_fields__),
}
_READ = {trigger: read_names(trigger) for trigger in Trigger}

MAX_OUTLINES: Final = 64
_LONGEST_OUTLINE: Final = 4096
_LARGE: Final = 4096
_AROUND_NAME: Final = len('"":,')


class Outline(msgspec.Struct, frozen=True, eq=False):
    """What the names of a body's members tell, in their order: senders repeat themselves.

    Attributes:
        trigger: of whose bodies.
        plain: whether members of these names mean what the plain model means.
        extras: the members that nobody reads.
        length: bytes that the names take in a body without spaces.
    """

    trigger: Trigger
    plain: bool
    extras: tuple[str, ...]
    length: int


_outlines: dict[Trigger, dict[tuple[str, ...], Outline]] = {trigger: {} for trigger in Trigger}
"""The outlines seen lately. An outline follows from the names alone: a sender can push another's out, at the
price of looking again, but never change what it says."""


def outline_of(names: tuple[str, ...], trigger: Trigger) -> Outline:
    """Return the outline of a body with these members."""
    known = _outlines[trigger]
    outline = known.get(names)
    if outline is None:
        outline = _outline(names, trigger)
        if outline.length <= _LONGEST_OUTLINE:
            if len(known) >= MAX_OUTLINES:
                del known[next(iter(known))]
            known[names] = outline
    return outline


def _outline(names: tuple[str, ...], trigger: Trigger) -> Outline:
    extras = tuple(name for name in names if name not in _PLAIN[trigger])
    folded = set(map(fold, names))
    plain = (
        _READ[trigger].isdisjoint(map(fold, extras))
        and not ("Status" in names and "ConfirmationStatusId" in names)
        and not is_other_trigger(folded, trigger)
    )
    return Outline(trigger, plain, extras, sum(len(name.encode()) + _AROUND_NAME for name in names))


def decode_plainly(value: bytes, trigger: Trigger) -> Decoded | None:
    """Decode a JSON value that is the plain model; None if it is anything else."""
    members = members_of(value)
    return None if members is None else decode_members(value, members, outline_of(tuple(members), trigger))


def members_of(value: bytes) -> dict[str, msgspec.Raw] | None:
    """Return the members of a JSON object, the last of each name; None where it is none."""
    try:
        return _members.decode(value)
    except msgspec.DecodeError:
        return None


def decode_members(value: bytes, members: dict[str, msgspec.Raw], outline: Outline) -> Decoded | None:
    """Decode a JSON object of this outline if it is the plain model; None if it is anything else."""
    if not outline.plain or not _no_member_twice(value, members, outline):
        return None
    try:
        for name in outline.extras:
            _anything.decode(members[name])  # a number that many readers cannot read may stand there
        return _class(value) if outline.trigger is Trigger.CLASS else _assignment(value)
    except (msgspec.DecodeError, UnreadableValue):
        return None


def _no_member_twice(value: bytes, members: dict[str, msgspec.Raw], outline: Outline) -> bool:
    # A dict keeps only one of two equal members. In a body without spaces its parts then do not add up.
    if len(value) > _LARGE and outline.length + sum(
        memoryview(held).nbytes for held in members.values()
    ) + 1 == len(value):
        return True
    # Every member has its colon, so that there are more colons than names. Those inside values count out; one
    # inside a name only sends the body to the tolerant path.
    colons = value.count(b":")
    if colons != len(members):
        colons -= b"".join(members.values()).count(b":")
    return colons == len(members)


def _assignment(value: bytes) -> Decoded:
    plain = _assignments.decode(value)
    status = assignment_status(plain.status)
    assumed: list[str] = []
    plain.expire = moment_of(plain.expire, "expire", None, assumed)
    plain.target_completion = moment_of(plain.target_completion, "target_completion", None, assumed)
    plain.start = moment_of(plain.start, "start", None, assumed)
    plain.complete = moment_of(plain.complete, "complete", None, assumed)
    entity = CourseAssignment(*astuple(plain)[:-1])
    return Decoded(entity, status.word, status.raw, StatusFrom.PAYLOAD, _reading(assumed))


def _class(value: bytes) -> Decoded:
    plain = _classes.decode(value)
    told = plain.confirmation_status_id
    status = class_status(plain.status if told is None else told)
    plain.confirmation_status_id = status.number
    zone = zone_of(plain.time_zone_id)
    assumed: list[str] = []
    plain.start = moment_of(plain.start, "start", zone, assumed)
    plain.end = moment_of(plain.end, "end", zone, assumed)
    strange = zone is None and not is_blank(plain.time_zone_id)
    reading = _reading(assumed, ("time_zone",) if strange else ())
    values = (*astuple(plain)[:-1], zone)
    return Decoded(Class(*values), status.word, status.raw, StatusFrom.PAYLOAD, reading)


def _reading(assumed: list[str], unread: tuple[str, ...] = ()) -> Reading:
    return Reading(unread=unread, assumed=tuple(assumed)) if assumed or unread else NOTHING_TO_SAY
