"""Each of the twelve trigger/status pairs, in each documented encoding of status, date and wrapper."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

import tms_events
from tms_events import CourseAssignmentChanged, Trigger

from .sources import ASSIGNMENT, BODIES, CLASS, event_of, message_of

CLASS_IDS = {
    "scheduled": 0,
    "guaranteed_to_run": 1,
    "cancelled": 2,
    "rescheduled": 3,
    "tentative": 4,
    "requested": 5,
    "denied": 6,
    "completed": 7,
}
ASSIGNMENT_STATUSES = ("started", "completed", "expired", "cancelled")
PAIRS = [(Trigger.CLASS, status) for status in CLASS_IDS] + [
    (Trigger.COURSE_ASSIGNMENT, status) for status in ASSIGNMENT_STATUSES
]
SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    lambda word: word.replace("_", " ").title(),
    lambda word: word.replace("_", " ").title().replace(" ", ""),
    lambda word: word.replace("_", "-"),
    lambda word: word.replace("_", " ").capitalize(),
    lambda word: f"  {word.replace('_', '  ')} ",
    lambda word: word.replace("cancelled", "Canceled"),
]
WRAPPERS: list[Callable[[object, str], object]] = [
    lambda model, _: model,
    lambda model, name: {name: model},
    lambda model, name: {name: [model]},
    lambda model, name: {"EventName": "changed", name.lower(): model},
    lambda model, _: {"Data": model},
    lambda model, _: {"Status": 0, "Error": None, "Results": [model]},
    lambda model, name: {"Status": 10, "Results": [{name: model}]},
    lambda model, name: {"Data": {name: model}},
]
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
DATES = [
    1772323200,
    "1772323200",
    "2026-03-01",
    "2026-03-01T00:00:00Z",
    "2026-03-01T00:00:00",
    "2026-03-01T00:00:00.0000000Z",
    "2026-03-01T01:00:00+01:00",
    "2026-02-28T19:00:00.000-05:00",
    "2026-03-01 00:00",
    "/Date(1772323200000)/",
    "/Date(1772323200000+0100)/",
    "/Date(1772323200000-0500)/",
]


def rules_and_wrapper(trigger: Trigger) -> tuple[tms_events.Trigger, str]:
    return trigger, "Class" if trigger is Trigger.CLASS else "CourseAssignment"


def arrives(trigger: Trigger, status: str, raw: str, document: object) -> None:
    body = json.dumps(document).encode()
    by = CLASS if trigger is Trigger.CLASS else ASSIGNMENT
    message = message_of(body, by)
    event = tms_events.decode(message.body)
    assert message.routing_key == f"tms.{trigger}.{status}"
    assert (event.status, event.raw_status, event.status_from) == (status, raw, "payload")
    assert tms_events.entity_id(event) == 4711
    assert tms_events.payload_bytes(message.body) == body


@pytest.mark.parametrize(("trigger", "status"), PAIRS)
@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_status_word_in_any_spelling_and_wrapper(
    trigger: Trigger, status: str, spell: Callable[[str], str], wrap: Callable[[object, str], object]
) -> None:
    word = spell(status)
    _, name = rules_and_wrapper(trigger)
    arrives(trigger, status, word, wrap({"Id": 4711, "Status": word}, name))


@pytest.mark.parametrize(("status", "number"), CLASS_IDS.items())
@pytest.mark.parametrize(
    "name",
    ["ConfirmationStatusId", "ConfirmationStatus", "Status", "StatusId", "confirmationStatusId", "status_id"],
)
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_class_status_as_an_id_or_as_an_id_in_a_string(
    status: str, number: int, name: str, wrap: Callable[[object, str], object]
) -> None:
    for told in (number, str(number), f" {number} "):
        arrives(Trigger.CLASS, status, str(told), wrap({"Id": "4711", name: told}, "Class"))


@pytest.mark.parametrize("name", ["Id", "ClassId", "classId", "CLASS_ID", "class_id", "id"])
@pytest.mark.parametrize("number", [4711, "4711", " 4711 "])
def test_a_class_id_under_any_name(name: str, number: object) -> None:
    arrives(Trigger.CLASS, "denied", "Denied", {name: number, "Status": "Denied"})


@pytest.mark.parametrize("name", ["Id", "CourseAssignmentId", "courseAssignmentId"])
@pytest.mark.parametrize("number", [4711, "4711"])
def test_a_course_assignment_id_under_any_name(name: str, number: object) -> None:
    arrives(Trigger.COURSE_ASSIGNMENT, "expired", "expired", {name: number, "Status": "expired"})


@pytest.mark.parametrize("told", DATES)
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Expire", "expire"),
        ("Expires", "expire"),
        ("TargetCompletion", "target_completion"),
        ("TargetCompletionDate", "target_completion"),
        ("Start", "start"),
        ("Started", "start"),
        ("Complete", "complete"),
        ("Completed", "complete"),
    ],
)
def test_a_date_of_a_course_assignment_in_any_form(told: object, name: str, field: str) -> None:
    event = event_of(json.dumps({"Id": 1, name: told}).encode(), ASSIGNMENT)
    assert isinstance(event, CourseAssignmentChanged)
    assert getattr(event.course_assignment, field) == MARCH


@pytest.mark.parametrize("told", DATES)
@pytest.mark.parametrize(("name", "field"), [("Start", "start"), ("StartTime", "start"), ("EndDate", "end")])
def test_a_date_of_a_class_in_any_form(told: object, name: str, field: str) -> None:
    event = event_of(json.dumps({"Id": 1, name: told}).encode())
    assert isinstance(event, tms_events.ClassChanged)
    assert getattr(event.class_, field) == MARCH


@pytest.mark.parametrize(("trigger", "status"), PAIRS)
def test_the_sample_bodies_are_what_their_names_say(trigger: Trigger, status: str) -> None:
    name = f"{trigger.replace('_', '-')}-{status}.json"
    by = CLASS if trigger is Trigger.CLASS else ASSIGNMENT
    assert message_of((BODIES / name).read_bytes(), by).status == status


def test_there_is_one_sample_body_for_each_pair() -> None:
    assert len(list(BODIES.glob("*.json"))) == len(PAIRS)
