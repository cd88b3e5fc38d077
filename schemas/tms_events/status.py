"""The statuses that TMS announces, one enumeration for each trigger event, and where a status came from.

A status that this version does not know becomes `UNKNOWN` wherever a message is decoded, so that a consumer
keeps running when TMS or the bridge learns a new word; `raw_status` of the event keeps the word.
"""

import enum


class CourseAssignmentStatus(enum.StrEnum):
    """Statuses of *Course assignment changed*; third word of a routing key."""

    STARTED = "started"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """The body told none, or one that nobody knows yet; `raw_status` has the sender's own word."""

    @classmethod
    def _missing_(cls, value: object) -> "CourseAssignmentStatus | None":
        return cls.UNKNOWN if isinstance(value, str) else None


class ClassStatus(enum.StrEnum):
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
    """The body told none, or one that nobody knows yet; `raw_status` has the sender's own word."""

    @classmethod
    def _missing_(cls, value: object) -> "ClassStatus | None":
        return cls.UNKNOWN if isinstance(value, str) else None


class StatusFrom(enum.StrEnum):
    """Where the bridge took a status from."""

    PAYLOAD = "payload"
    """From a member of the body, or the body told none."""

    DERIVED = "derived"
    """From the dates of a course assignment, because the body told no status and the operator chose so."""
