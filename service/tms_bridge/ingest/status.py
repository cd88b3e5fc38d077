"""The vendor's status vocabulary, as data: words in any spelling, and the numbers of ConfirmationStatusId."""

from collections.abc import Container
from datetime import datetime
from typing import Final

import msgspec

from tms_bridge.ingest.members import Members, Number, Value, unwrapped
from tms_bridge.ingest.values import UnreadableValue, own, whole
from tms_events import ClassStatus, CourseAssignment, CourseAssignmentStatus, Trigger

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
_SEPARATORS = {ord(mark): None for mark in " \t\r\n_-./"}
_LONGEST_WORD = 64
_OWN: Final = (("id", "value", "code"), ("name", "statusname"))
"""How an object calls its own id, and its own name."""
_DERIVED: Final = (
    ("complete", CourseAssignmentStatus.COMPLETED),
    ("expire", CourseAssignmentStatus.EXPIRED),
    ("start", CourseAssignmentStatus.STARTED),
)


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


def _words(known: type[ClassStatus] | type[CourseAssignmentStatus]) -> dict[str, str]:
    words = {status.replace("_", ""): status.value for status in known}
    return words | {odd: word for odd, word in _SPELLINGS.items() if word in words.values()}


_CLASS_WORDS = {spelled: ClassStatus(word) for spelled, word in _words(ClassStatus).items()}
_ASSIGNMENT_WORDS = {
    spelled: CourseAssignmentStatus(word) for spelled, word in _words(CourseAssignmentStatus).items()
}


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
    word = _CLASS_WORDS.get(_fold(str(told)), ClassStatus.UNKNOWN)
    return SentStatus(word, str(told), CONFIRMATION_STATUS_IDS.get(word))


def assignment_status(told: str | int | None) -> SentStatus:
    """Return what a course assignment's status word means; no numbers are published for it."""
    if isinstance(told, int):
        return SentStatus(CourseAssignmentStatus.UNKNOWN, str(told), told)
    if told is None or not told.strip():
        return SentStatus(CourseAssignmentStatus.UNKNOWN, None)
    return SentStatus(_ASSIGNMENT_WORDS.get(_fold(told), CourseAssignmentStatus.UNKNOWN), told)


def read_status(value: Value, trigger: Trigger) -> SentStatus:
    """Return what the status member of a body means; an object counts through its own id or name.

    Raises:
        UnreadableValue: it is true, false, an array, or an object that tells neither.
    """
    value = unwrapped(value)[0]
    if isinstance(value, Members):
        return _of_object(value, trigger)
    if isinstance(value, bool | list):
        raise UnreadableValue("is neither a status word nor a number")
    told = value if value is None else _spelled(value)
    return class_status(told) if trigger is Trigger.CLASS else assignment_status(told)


def _spelled(value: str) -> str | int:
    # A number in its usual spelling, as the plain path reads it; any other keeps the sender's.
    number = whole(value) if isinstance(value, Number) and value.removeprefix("-").isdecimal() else None
    return str(value) if number is None else number


def _of_object(members: Members, trigger: Trigger) -> SentStatus:
    told = [value for names in _OWN if isinstance(value := own(members, names), str)]
    statuses = [read_status(value, trigger) for value in told]
    known = [status for status in statuses if status.word != ClassStatus.UNKNOWN]
    if len({status.word for status in known}) > 1:
        raise UnreadableValue("gives two statuses")
    if not statuses:
        raise UnreadableValue("has neither an id nor a name of its own")
    return (known or statuses)[0]


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
