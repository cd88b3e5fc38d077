"""The bodies: the models of TMS's public API, in every documented encoding of status, date and wrapper."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

Json = dict[str, object]

CONFIRMATION_STATUS_IDS = {
    "scheduled": 0,
    "guaranteed_to_run": 1,
    "cancelled": 2,
    "rescheduled": 3,
    "tentative": 4,
    "requested": 5,
    "denied": 6,
    "completed": 7,
}

EPOCH_S = 1_798_761_600
"""2027-01-01: bodies depend on the seed, never on the clock."""

DAY_S = 86_400

DATE_FORMS: tuple[Callable[[int], object], ...] = (
    lambda at: at,
    lambda at: datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
    lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d"),
    lambda at: f"/Date({at}000)/",
)
"""Unix seconds first, since the API's models have it so."""

WORD_FORMS: tuple[Callable[[str], str], ...] = (
    lambda word: word.replace("_", " ").title().replace(" To ", " to "),
    lambda word: word.replace("_", " ").title().replace(" ", ""),
    lambda word: word,
    lambda word: word.replace("_", " ").upper(),
    lambda word: word.replace("_", " ").title().replace("Cancelled", "Canceled"),
)

STATUS_FORMS: dict[str, tuple[Callable[[str, Callable[[str], str]], Json], ...]] = {
    "class": (
        lambda status, _: {"ConfirmationStatusId": CONFIRMATION_STATUS_IDS[status]},
        lambda status, _: {"ConfirmationStatusId": str(CONFIRMATION_STATUS_IDS[status])},
        lambda status, word: {"ConfirmationStatus": word(status)},
        lambda status, word: {"Status": word(status)},
    ),
    "course_assignment": (lambda status, word: {"Status": word(status)},),
}

WRAPPERS: tuple[Callable[[str, Json], Json], ...] = (
    lambda _, model: model,
    lambda name, model: {name: model},
    lambda _, model: {"Data": model},
    lambda _, model: {"Status": 0, "Error": None, "Results": [model]},
)

MODEL_NAMES = {"class": "Class", "course_assignment": "CourseAssignment"}


class Body(NamedTuple):
    """What a body tells, before it is decided how."""

    trigger: str
    status: str
    entity: int
    step: int
    marker: str


class Forms(NamedTuple):
    """How one body is encoded."""

    date: Callable[[int], object]
    status: Callable[[str, Callable[[str], str]], Json]
    word: Callable[[str], str]
    wrapper: Callable[[str, Json], Json]
    id_name: str
    id_form: Callable[[int], object]


def encode(body: Body, rng: random.Random | None) -> bytes:
    """Return the JSON that TMS would send, plain without a generator, else in an encoding of its choice."""
    forms = _plain(body.trigger) if rng is None else _varied(body.trigger, rng)
    model: Json = {forms.id_name: forms.id_form(body.entity)}
    model |= forms.status(body.status, forms.word)
    model |= MODELS[body.trigger](body, forms.date)
    model["SimulatedEvent"] = body.marker
    return msgspec.json.encode(forms.wrapper(MODEL_NAMES[body.trigger], model))


def _plain(trigger: str) -> Forms:
    return Forms(DATE_FORMS[0], STATUS_FORMS[trigger][0], WORD_FORMS[0], WRAPPERS[0], "Id", int)


def _varied(trigger: str, rng: random.Random) -> Forms:
    return Forms(
        rng.choice(DATE_FORMS),
        rng.choice(STATUS_FORMS[trigger]),
        rng.choice(WORD_FORMS),
        rng.choice(WRAPPERS),
        rng.choice(("Id", MODEL_NAMES[trigger] + "Id")),
        rng.choice((int, str)),
    )


def _class(body: Body, date: Callable[[int], object]) -> Json:
    start = EPOCH_S + body.entity % 365 * DAY_S
    return {
        "ExternalId": f"CL-{body.entity}",
        "Name": f"Simulated class {body.entity}",
        "Description": "A class that exists only in a simulation",
        "Enabled": True,
        "CourseId": 100 + body.entity % 50,
        "OrganizationId": 7,
        "OrganizationName": "Contoso Training",
        "DeliveryTypeId": 1 + body.entity % 3,
        "PrimaryInstructorId": 501,
        "InstructorIds": [501, 502],
        "TimeZoneId": "Pacific Standard Time",
        "MinStudents": 4,
        "MaxStudents": 16,
        "AllowSelfEnrollment": False,
        "IsPublic": True,
        "DisableLabs": False,
        "Start": date(start),
        "End": date(start + 2 * DAY_S),
        "ClassMeetings": [],
    }


def _course_assignment(body: Body, date: Callable[[int], object]) -> Json:
    start = EPOCH_S + body.entity % 365 * DAY_S
    return {
        "ExternalId": f"CA-{body.entity}",
        "CourseId": 100 + body.entity % 50,
        "UserId": 9000 + body.entity % 1000,
        "ClubMembershipId": None,
        "Expire": date(start + 90 * DAY_S),
        "TargetCompletion": date(start + 60 * DAY_S),
        "Start": date(start) if body.step > 1 or body.status == "started" else None,
        "Complete": date(start + 30 * DAY_S) if body.status == "completed" else None,
    }


MODELS: dict[str, Callable[[Body, Callable[[int], object]], Json]] = {
    "class": _class,
    "course_assignment": _course_assignment,
}
