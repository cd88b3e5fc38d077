"""Which members of a body the decoder reads, under which names, and how: the vendor's vocabulary as data.

Names are compared without regard to case and underscores. Where several names of one field are there, the
first of this table that holds a readable value counts; those of the id and the status must agree.
"""

from typing import Final

import msgspec

from tms_bridge.ingest.values import Reader, read_date, read_flag, read_id, read_int, read_ints, read_text
from tms_events import Trigger


class Field(msgspec.Struct, frozen=True):
    """One field of the typed entity, the names of its member in a body, and its reader."""

    name: str
    read: Reader
    aliases: tuple[str, ...]


def fold(name: str) -> str:
    """Return a member's name as it is compared."""
    return name.replace("_", "").lower() if name.isascii() else name


def _field(name: str, read: Reader, *others: str) -> Field:
    return Field(name, read, (fold(name), *map(fold, others)))


ID = {
    Trigger.COURSE_ASSIGNMENT: _field("id", read_id, "CourseAssignmentId"),
    Trigger.CLASS: _field("id", read_id, "ClassId"),
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
        _field("external_id", read_text),
        _field("course_id", read_int),
        _field("user_id", read_int),
        _field("club_membership_id", read_int),
        _field("expire", read_date, "Expires", "ExpireDate", "ExpirationDate"),
        _field("target_completion", read_date, "TargetCompletionDate"),
        _field("start", read_date, "Started", "StartDate"),
        _field("complete", read_date, "Completed", "CompletedDate", "CompletionDate"),
    ),
    Trigger.CLASS: (
        _field("external_id", read_text),
        _field("name", read_text),
        _field("description", read_text),
        _field("html_description", read_text),
        _field("enabled", read_flag),
        _field("course_id", read_int),
        _field("organization_id", read_int),
        _field("organization_name", read_text),
        _field("company_id", read_int),
        _field("delivery_type_id", read_int),
        _field("virtual_meeting_host_id", read_int),
        _field("custom_virtual_classroom_url", read_text),
        _field("primary_instructor_id", read_int),
        _field("instructor_ids", read_ints),
        _field("primary_classroom_id", read_int),
        _field("time_zone_id", read_text),
        _field("min_students", read_int),
        _field("max_students", read_int),
        _field("allow_self_enrollment", read_flag),
        _field("is_public", read_flag),
        _field("disable_labs", read_flag),
        _field("start", read_date, "StartDateTime", "StartTime", "StartDate"),
        _field("end", read_date, "EndDateTime", "EndTime", "EndDate"),
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
