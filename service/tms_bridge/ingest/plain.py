"""The fast path: the plain model of the sender's public API, in a few microseconds.

It takes only bodies that the tolerant path would read the same way, and leaves the rest to it: whatever has
another name of a field, a wrapper, an odd encoding or a repeated member.

From top to bottom: the JSON value of a body, the model, what the names of its members tell, the decoding, and
the status and moments in it. The tolerant path reads these by the same functions.
"""

import codecs
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import astuple

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.decoded import Decoded
from tms_bridge.ingest.fields import (
    ASSIGNMENT_WORDS,
    CLASS_WORDS,
    CONFIRMATION_STATUS_IDS,
    CONFIRMATION_STATUSES,
    fold,
    is_other_trigger,
    read_names,
    zones,
)
from tms_bridge.ingest.foreign import MAX_DEPTH, refuse_encoding, too_deep
from tms_events import (
    Class,
    ClassStatus,
    CourseAssignment,
    CourseAssignmentStatus,
    StatusFrom,
    Trigger,
)
from tms_events.reading import NOTHING_TO_SAY, Reading

WHITESPACE: Final = b" \t\r\n"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,308}(?:\.[0-9]{0,308})?(?:[eE][+-]?[0-9]{1,4})?")

_ZERO: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the local reading of "no date"
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_INT64_MAX: Final = 2**63 - 1
_INT64_MIN: Final = -(2**63)
_LONGEST_INT64: Final = 19
_SEPARATORS: Final = {ord(mark): None for mark in " \t\r\n_-./"}
_LONGEST_WORD: Final = 64
_LONGEST_ZONE: Final = 64

Int = Annotated[int, msgspec.Meta(ge=_INT64_MIN, le=_INT64_MAX)]
Told = datetime | Int | None


class UnreadableValue(ValueError):  # noqa: N818 - states the fact; it never leaves ingest
    """No type can hold the value; the text follows on its place and spelling."""


def json_value(body: bytes) -> bytes:
    """Return the bytes of the JSON value in a body, without byte-order marks and surrounding whitespace.

    Raises:
        Undecodable: the body is empty, is not UTF-8 throughout, or is nested too deep.
    """
    value = body.strip(WHITESPACE)
    while value.startswith(codecs.BOM_UTF8):
        value = value.removeprefix(codecs.BOM_UTF8).strip(WHITESPACE)
    if not value:
        raise Undecodable("the body is empty")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            refuse_encoding(body, value, error)
    if _has_many_brackets(value) and too_deep(value):
        raise Undecodable(f"objects or arrays are nested more than {MAX_DEPTH} deep")
    return value


def _has_many_brackets(value: bytes) -> bool:
    """Return whether enough begins in a value to be nested too deep."""
    found = 0
    for opener in (b"[", b"{"):
        # Unlike `count`, `find` goes through a large value as fast as memory can be read.
        at = value.find(opener)
        while at >= 0 and found <= MAX_DEPTH:
            found += 1
            at = value.find(opener, at + 1)
    return found > MAX_DEPTH


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


class SentStatus(msgspec.Struct, frozen=True, gc=False):
    """What a body tells of its status.

    Attributes:
        word: in the vocabulary of `tms_events`.
        raw: the sender's own word or number; None where it told none.
        number: the sender's number, or that of a class's known status; None else.
    """

    word: ClassStatus | CourseAssignmentStatus
    raw: str | None
    number: int | None = None


def _fold(word: str) -> str:
    return "" if len(word) > _LONGEST_WORD else word.translate(_SEPARATORS).lower()


def class_status(told: str | int | None) -> SentStatus:
    """Return what a class's status word or ConfirmationStatusId means."""
    if told is None or (isinstance(told, str) and not told.strip()):
        return SentStatus(ClassStatus.UNKNOWN, None)
    number = told if isinstance(told, int) else whole(told.strip())
    if number is not None:
        known = 0 <= number < len(CONFIRMATION_STATUSES)
        return SentStatus(CONFIRMATION_STATUSES[number] if known else ClassStatus.UNKNOWN, str(told), number)
    # A number that is none of 64 bits, or a fraction, must not become another one without its marks.
    word = CLASS_WORDS.get(_fold(str(told)), ClassStatus.UNKNOWN)
    return SentStatus(word, str(told), CONFIRMATION_STATUS_IDS.get(word))


def assignment_status(told: str | int | None) -> SentStatus:
    """Return what a course assignment's status word means; no numbers are published for it."""
    if isinstance(told, int):
        return SentStatus(CourseAssignmentStatus.UNKNOWN, str(told), told)
    if told is None or not told.strip():
        return SentStatus(CourseAssignmentStatus.UNKNOWN, None)
    return SentStatus(ASSIGNMENT_WORDS.get(_fold(told), CourseAssignmentStatus.UNKNOWN), told)


def is_blank(value: object) -> bool:
    """Say whether a member holds nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def whole(text: str) -> int | None:
    """Return the whole number of at most 64 bits that a text is by value: `2.0` and `2e0` are 2."""
    if _WHOLE.fullmatch(text):
        number = int(text)
    elif DECIMAL.fullmatch(text):
        value = Decimal(text)
        # A large exponent must not become a number of as many digits.
        if value and (value.adjusted() >= _LONGEST_INT64 or value != value.to_integral_value()):
            return None
        number = int(value) if value else 0
    else:
        return None
    return number if _INT64_MIN <= number <= _INT64_MAX else None


def moment_of(
    told: datetime | int | None, field: str, zone: str | None, assumed: list[str]
) -> datetime | None:
    """Return the moment that a field of the plain model tells, and name it where its offset is assumed."""
    if told is None:
        return None
    if isinstance(told, int):
        return from_seconds(told)
    if is_unset(told):
        return None
    if told.tzinfo is None:
        assumed.append(field)
    return in_utc(told, zone)


def from_seconds(seconds: float) -> datetime | None:
    """Return the moment of a Unix time; none for zero and below, which is how the family says "unset".

    Raises:
        UnreadableValue: it lies beyond the year 9999.
    """
    if seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise UnreadableValue("lies beyond the year 9999 (Unix seconds are expected)") from None


def is_unset(moment: datetime) -> bool:
    """Say whether a moment is .NET's or Unix's zero, or before it, by whatever clock."""
    if moment.year > EPOCH.year:
        return False
    return moment.replace(tzinfo=None) <= _ZERO or (moment.tzinfo is not None and moment <= EPOCH)


def in_utc(moment: datetime, zone: str | None) -> datetime:
    """Return a moment in UTC; where it has no offset, the clocks of the zone count, or else UTC.

    Raises:
        UnreadableValue: in UTC it lies beyond the year 9999.
    """
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC if zone is None else ZoneInfo(zone))
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise UnreadableValue("lies beyond the year 9999 in UTC") from None


@lru_cache(maxsize=256)
def _zone(told: str) -> str | None:
    return zones().get(told.strip().lower())


def zone_of(told: str | None) -> str | None:
    """Return the IANA name of a time zone by its Windows or IANA name, in any case; None where unknown."""
    return None if told is None or len(told) > _LONGEST_ZONE else _zone(told)
