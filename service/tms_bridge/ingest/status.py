"""The vendor's status vocabulary, as data: words in any spelling, and the numbers of ConfirmationStatusId."""

import msgspec

from tms_bridge.ingest.members import Members, Number, Value
from tms_bridge.ingest.values import INT64_MAX, INT64_MIN, WHOLE, Unreadable
from tms_events import ClassStatus, CourseAssignmentStatus, Trigger

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


class Status(msgspec.Struct, frozen=True, gc=False):
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


_CLASS_WORDS = {spelled: ClassStatus(word) for spelled, word in _words(ClassStatus).items()} | {
    str(number): status for number, status in enumerate(CONFIRMATION_STATUSES)
}
_ASSIGNMENT_WORDS = {
    spelled: CourseAssignmentStatus(word) for spelled, word in _words(CourseAssignmentStatus).items()
}


def _fold(word: str) -> str:
    return "" if len(word) > _LONGEST_WORD else word.translate(_SEPARATORS).lower()


def class_status(told: str | int | None) -> Status:
    """Return what a class's status word or ConfirmationStatusId means."""
    if isinstance(told, int):
        known = 0 <= told < len(CONFIRMATION_STATUSES)
        return Status(CONFIRMATION_STATUSES[told] if known else ClassStatus.UNKNOWN, str(told), told)
    if told is None or not told.strip():
        return Status(ClassStatus.UNKNOWN, None)
    word = _CLASS_WORDS.get(_fold(told), ClassStatus.UNKNOWN)
    return Status(word, told, CONFIRMATION_STATUS_IDS.get(word))


def assignment_status(told: str | int | None) -> Status:
    """Return what a course assignment's status word means; no numbers are published for it."""
    if isinstance(told, int):
        return Status(CourseAssignmentStatus.UNKNOWN, str(told), told)
    if told is None or not told.strip():
        return Status(CourseAssignmentStatus.UNKNOWN, None)
    return Status(_ASSIGNMENT_WORDS.get(_fold(told), CourseAssignmentStatus.UNKNOWN), told)


def read_status(value: Value, trigger: Trigger) -> Status:
    """Return what the status member of a body means.

    Raises:
        Unreadable: it is true, false, an object or an array.
    """
    if isinstance(value, bool | list | Members):
        raise Unreadable("is neither a status word nor a number")
    told = _whole(value) if isinstance(value, Number) else value
    return class_status(told) if trigger is Trigger.CLASS else assignment_status(told)


def _whole(number: Number) -> str | int:
    # A longer number, or one with a fraction, is nobody's status: it stays as it was written.
    if not WHOLE.fullmatch(number) or not INT64_MIN <= int(number) <= INT64_MAX:
        return str(number)
    return int(number)
