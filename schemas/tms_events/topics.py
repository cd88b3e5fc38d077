"""Routing keys, and the patterns to bind a queue with."""

from tms_events.status import ClassStatus, CourseAssignmentStatus
from tms_events.trigger import Trigger

EXCHANGE = "tms.events"
"""Default name of the topic exchange: durable, no arguments, so that a consumer may declare it too."""

PREFIX = "tms"
"""Default first word of every routing key."""

MAX_KEY_BYTES = 255
"""The longest routing key that AMQP 0-9-1 can carry."""

STATUSES: dict[Trigger, tuple[str, ...]] = {
    Trigger.COURSE_ASSIGNMENT: tuple(CourseAssignmentStatus),
    Trigger.CLASS: tuple(ClassStatus),
}
"""Every status of each trigger, `unknown` last."""


def topic(trigger: Trigger | str, status: str, prefix: str = PREFIX) -> str:
    """Return the routing key of an event, such as `tms.class.guaranteed_to_run`.

    Args:
        trigger: which trigger event.
        status: one of its statuses, `unknown` included.
        prefix: the first word, or words with dots between, as configured for the source.

    Raises:
        ValueError: no such trigger or status, or a prefix that no routing key can begin with.
    """
    _check_status(Trigger(trigger), status)
    return _key(prefix, trigger, status)


def binding(trigger: Trigger | str | None = None, status: str | None = None, prefix: str = PREFIX) -> str:
    """Return the pattern that matches one trigger, one status, both or (left out) all of them.

    Args:
        trigger: which trigger event; None for both.
        status: which status; None for every one, also those of later versions.
        prefix: the first word, or words with dots between, as configured for the source.

    Raises:
        ValueError: as `topic` does.
    """
    if status is not None:
        _check_status(None if trigger is None else Trigger(trigger), status)
    word = "*" if trigger is None else Trigger(trigger)
    return _key(prefix, word, "*" if status is None else status)


def _check_status(trigger: Trigger | None, status: str) -> None:
    known = STATUSES[trigger] if trigger else STATUSES[Trigger.COURSE_ASSIGNMENT] + STATUSES[Trigger.CLASS]
    if status not in known:
        raise ValueError(f"{status!r} is no status here; there are {', '.join(dict.fromkeys(known))}")


def _key(prefix: str, trigger: str, status: str) -> str:
    # A wildcard in a key would match nothing, and an empty word is hard to bind to.
    if not all(prefix.split(".")) or any(mark in prefix for mark in "*#") or not prefix.isprintable():
        raise ValueError(f"{prefix!r} cannot begin a routing key: words with dots between, no * and no #")
    key = f"{prefix}.{trigger}.{status}"
    if len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"a routing key holds at most {MAX_KEY_BYTES} bytes; shorten the prefix {prefix!r}")
    return key


TOPICS: tuple[str, ...] = tuple(topic(trigger, status) for trigger in Trigger for status in STATUSES[trigger])
"""Every routing key under the default prefix: twelve pairs, and `unknown` of either trigger."""

EVERYTHING = binding()
"""Binding for all events."""

COURSE_ASSIGNMENTS = binding(Trigger.COURSE_ASSIGNMENT)
"""Binding for every change of a course assignment."""

CLASSES = binding(Trigger.CLASS)
"""Binding for every change of a class."""

COMPLETIONS = binding(status="completed")
"""Binding for what was completed, of either trigger."""

CANCELLATIONS = binding(status="cancelled")
"""Binding for what was cancelled, of either trigger."""

UNKNOWNS = binding(status="unknown")
"""Binding for events whose status nobody knows yet; worth a queue that people look at."""
