"""The vendor's vocabulary as data: members by their names and what they hold, status words, time zones.

Names are compared without regard to case and underscores. Where several names of one field are there, the
first of this table that holds a readable value counts; those of the id and the status must agree.
"""

from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias

import msgspec
from tzlocal.windows_tz import win_tz

from tms_events import ClassStatus, CourseAssignmentStatus, Trigger

FieldKind: TypeAlias = Literal["id", "int", "ints", "text", "flag", "date"]
"""What a field holds; `values.READERS` says how it is read."""


class Field(msgspec.Struct, frozen=True):
    """One field of the typed entity, what it holds, and the names of its member in a body."""

    name: str
    kind: FieldKind
    aliases: tuple[str, ...]


def fold(name: str) -> str:
    """Return a member's name as it is compared."""
    return name.replace("_", "").lower() if name.isascii() else name


def _field(name: str, kind: FieldKind, *others: str) -> Field:
    return Field(name, kind, (fold(name), *map(fold, others)))


ID = {
    Trigger.COURSE_ASSIGNMENT: _field("id", "id", "CourseAssignmentId"),
    Trigger.CLASS: _field("id", "id", "ClassId"),
}
"""Where the entity's id stands."""

STATUS_ALIASES = {
    Trigger.COURSE_ASSIGNMENT: tuple(
        map(
            fold,
            (
                "Status",
                "StatusName",
                "StatusId",
                "CourseAssignmentStatus",
                "CourseAssignmentStatusId",
                "AssignmentStatus",
                "CompletionStatus",
                "CompletionStatusId",
            ),
        )
    ),
    Trigger.CLASS: tuple(
        map(
            fold,
            (
                "ConfirmationStatusId",
                "ConfirmationStatus",
                "ConfirmationStatusName",
                "Status",
                "StatusName",
                "StatusId",
                "ClassStatus",
                "ClassStatusId",
            ),
        )
    ),
}
"""Where the status stands."""

FIELDS = {
    Trigger.COURSE_ASSIGNMENT: (
        _field("external_id", "text"),
        _field("course_id", "int"),
        _field("user_id", "int"),
        _field("club_membership_id", "int"),
        _field("expire", "date", "Expires", "ExpireDate", "ExpirationDate"),
        _field("target_completion", "date", "TargetCompletionDate"),
        _field("start", "date", "Started", "StartDate"),
        _field("complete", "date", "Completed", "CompletedDate", "CompletionDate"),
    ),
    Trigger.CLASS: (
        _field("external_id", "text"),
        _field("name", "text"),
        _field("description", "text"),
        _field("html_description", "text"),
        _field("enabled", "flag"),
        _field("course_id", "int"),
        _field("organization_id", "int"),
        _field("organization_name", "text"),
        _field("company_id", "int"),
        _field("delivery_type_id", "int"),
        _field("virtual_meeting_host_id", "int"),
        _field("custom_virtual_classroom_url", "text"),
        _field("primary_instructor_id", "int"),
        _field("instructor_ids", "ints"),
        _field("primary_classroom_id", "int"),
        _field("time_zone_id", "text"),
        _field("min_students", "int"),
        _field("max_students", "int"),
        _field("allow_self_enrollment", "flag"),
        _field("is_public", "flag"),
        _field("disable_labs", "flag"),
        _field("start", "date", "StartDateTime", "StartTime", "StartDate"),
        _field("end", "date", "EndDateTime", "EndTime", "EndDate"),
    ),
}
"""The other fields of each entity; a class's zone stands before its moments, which may need it."""

WRAPPERS = {
    Trigger.COURSE_ASSIGNMENT: tuple(map(fold, ("CourseAssignment", "Data", "Results"))),
    Trigger.CLASS: tuple(map(fold, ("Class", "Data", "Results"))),
}
"""Members that may hold the model, as an object or as an array of exactly one."""


CALL_STATUS: Final = "status"
CALL_MARKS: Final = frozenset(map(fold, ("Error", "Results")))
"""The API's answers say `Status` of the call itself, and beside these members nothing else is meant by it."""


def _read(trigger: Trigger) -> frozenset[str]:
    fields = (ID[trigger], *FIELDS[trigger])
    return frozenset(alias for field in fields for alias in field.aliases).union(STATUS_ALIASES[trigger])


OTHER: Final = {
    Trigger.CLASS: Trigger.COURSE_ASSIGNMENT,
    Trigger.COURSE_ASSIGNMENT: Trigger.CLASS,
}
ONLY: Final = {trigger: _read(trigger) - _read(OTHER[trigger]) for trigger in Trigger}
"""The members that only one trigger's bodies have."""
UNMISTAKABLE: Final = 2
"""Members of the other trigger that make a body its own."""


def names_of(trigger: Trigger) -> tuple[str, ...]:
    """Return every field that a source may point to."""
    return ("id", "status", *(field.name for field in FIELDS[trigger]))


def unreadable_fields(trigger: Trigger) -> tuple[str, ...]:
    """Return every field that `reading.unread` can name."""
    follows = ("time_zone",) if trigger is Trigger.CLASS else ()
    return ("status", *(field.name for field in FIELDS[trigger]), *follows)


def read_names(trigger: Trigger) -> frozenset[str]:
    """Return every member name that means something, as it is compared."""
    return _read(trigger).union(WRAPPERS[trigger], CALL_MARKS)


def is_other_trigger(names: set[str], trigger: Trigger) -> bool:
    """Say whether members of these names are unmistakably those of the other trigger."""
    foreign = (names & ONLY[OTHER[trigger]]).difference(ID[OTHER[trigger]].aliases)
    return len(foreign) >= UNMISTAKABLE and names.isdisjoint(ONLY[trigger])


CONFIRMATION_STATUSES = (
    ClassStatus.SCHEDULED,
    ClassStatus.GUARANTEED_TO_RUN,
    ClassStatus.CANCELLED,
    ClassStatus.RESCHEDULED,
    ClassStatus.TENTATIVE,
    ClassStatus.REQUESTED,
    ClassStatus.DENIED,
    ClassStatus.COMPLETED,
)
"""The statuses by their ConfirmationStatusId, 0 to 7."""

CONFIRMATION_STATUS_IDS = {status: number for number, status in enumerate(CONFIRMATION_STATUSES)}

_SPELLINGS = {"canceled": "cancelled", "complete": "completed", "guaranteed": "guaranteed_to_run"}


def _words(known: type[ClassStatus] | type[CourseAssignmentStatus]) -> dict[str, str]:
    words = {status.replace("_", ""): status.value for status in known}
    return words | {odd: word for odd, word in _SPELLINGS.items() if word in words.values()}


CLASS_WORDS = {spelled: ClassStatus(word) for spelled, word in _words(ClassStatus).items()}
ASSIGNMENT_WORDS = {
    spelled: CourseAssignmentStatus(word) for spelled, word in _words(CourseAssignmentStatus).items()
}
"""The statuses by each spelling, folded."""


@lru_cache(maxsize=1)
def zones() -> dict[str, str]:
    """Return the IANA time zones by each IANA and Windows name, in lower case."""
    iana = files("tzdata").joinpath("zones").read_text("ascii").split()
    windows = {name.lower(): zone for name, zone in win_tz.items() if zone in iana}
    return {name.lower(): name for name in iana} | windows
