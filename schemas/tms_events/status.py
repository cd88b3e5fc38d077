"""The statuses that TMS announces, one enumeration for each trigger event, and where a status came from.

All of them are open. A word that this version does not know becomes a member of its own that keeps the word,
so that a consumer keeps running, and passes on what it got, when TMS or the bridge learns a new one:

    match event.status:
        case ClassStatus.CANCELLED: ...
        case ClassStatus.UNKNOWN: ...  # the bridge did not know it
        case _: ...                    # also what a later version of the bridge knows
"""

import enum
from typing import Self


class OpenEnum(enum.StrEnum):
    """An enumeration of words to which later versions may add."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        # Not kept: words come from outside, and a table of them would grow.
        word = str.__new__(cls, value)
        word._name_, word._value_ = value, value
        return word


class CourseAssignmentStatus(OpenEnum):
    """Statuses of *Course assignment changed*; third word of a routing key."""

    STARTED = "started"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """The body told none, or one that the bridge did not know; `raw_status` has the sender's own word."""


class ClassStatus(OpenEnum):
    """Statuses of *Class changed*; third word of a routing key."""

    REQUESTED = "requested"
    TENTATIVE = "tentative"
    SCHEDULED = "scheduled"
    GUARANTEED_TO_RUN = "guaranteed_to_run"
    CANCELLED = "cancelled"
    DENIED = "denied"
    RESCHEDULED = "rescheduled"
    COMPLETED = "completed"
    UNKNOWN = "unknown"
    """The body told none, or one that the bridge did not know; `raw_status` has the sender's own word."""


class StatusFrom(OpenEnum):
    """Where the bridge took a status from."""

    PAYLOAD = "payload"
    """From a member of the body, or the body told none."""

    DERIVED = "derived"
    """From the dates of a course assignment, because the body told no status and the operator chose so."""
