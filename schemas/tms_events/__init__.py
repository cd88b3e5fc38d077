"""The messages that TMS Bridge publishes, as typed structs, with their topics and how to decode them.

A consumer binds a queue to `EXCHANGE` with one of the bindings, and turns a message body into its struct:

    event = tms_events.decode(body)
    if isinstance(event, tms_events.ClassChanged) and event.status is tms_events.ClassStatus.CANCELLED:
        release_room(event.class_.id)
"""

from tms_events.class_ import Class
from tms_events.course_assignment import CourseAssignment
from tms_events.decoding import MAX_DIGITS, decode, encode, from_dict, payload_bytes, to_dict
from tms_events.errors import MalformedMessage, MessageError, UnknownTrigger
from tms_events.event import ClassChanged, CourseAssignmentChanged, Event, entity_id, entity_key
from tms_events.newest import COPY_WINDOW, DIGEST_HEADER, Newest, Verdict
from tms_events.reading import Reading
from tms_events.status import ClassStatus, CourseAssignmentStatus, OpenEnum, StatusFrom
from tms_events.topics import (
    CANCELLATIONS,
    CLASSES,
    COMPLETIONS,
    COURSE_ASSIGNMENTS,
    EVERYTHING,
    EXCHANGE,
    PREFIX,
    STATUSES,
    TOPICS,
    UNKNOWNS,
    binding,
    topic,
)
from tms_events.trigger import Trigger

__version__ = "0.2.0"

__all__ = [
    "CANCELLATIONS",
    "CLASSES",
    "COMPLETIONS",
    "COPY_WINDOW",
    "COURSE_ASSIGNMENTS",
    "DIGEST_HEADER",
    "EVERYTHING",
    "EXCHANGE",
    "MAX_DIGITS",
    "PREFIX",
    "STATUSES",
    "TOPICS",
    "UNKNOWNS",
    "Class",
    "ClassChanged",
    "ClassStatus",
    "CourseAssignment",
    "CourseAssignmentChanged",
    "CourseAssignmentStatus",
    "Event",
    "MalformedMessage",
    "MessageError",
    "Newest",
    "OpenEnum",
    "Reading",
    "StatusFrom",
    "Trigger",
    "UnknownTrigger",
    "Verdict",
    "binding",
    "decode",
    "encode",
    "entity_id",
    "entity_key",
    "from_dict",
    "payload_bytes",
    "to_dict",
    "topic",
]
