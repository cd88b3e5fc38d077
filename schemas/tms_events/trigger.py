"""The trigger events of Skillable TMS."""

import enum


class Trigger(enum.StrEnum):
    """What happened, as the *Trigger Event* field of a TMS webhook names it; second word of a routing key."""

    COURSE_ASSIGNMENT = "course_assignment"
    """*Course assignment changed*: a student's self-paced access to a course changed."""

    CLASS = "class"
    """*Class changed*: the status of an instructor-led class changed."""
