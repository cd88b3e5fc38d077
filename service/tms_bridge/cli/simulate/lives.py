"""The lives of entities, from status to status, and the bodies that tell of them."""

import random
from collections.abc import Callable, Iterator, Sequence
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


class Content(NamedTuple):
    """What a body tells, before it is decided how."""

    trigger: str
    status: str
    entity: int
    step: int
    marker: str


class _Forms(NamedTuple):
    """How one body is encoded."""

    date: Callable[[int], object]
    status: Callable[[str, Callable[[str], str]], Json]
    word: Callable[[str], str]
    wrapper: Callable[[str, Json], Json]
    id_name: str
    id_form: Callable[[int], object]


def encode(body: Content, rng: random.Random | None) -> bytes:
    """Return the JSON that TMS would send, plain without a generator, else in an encoding of its choice."""
    forms = _plain(body.trigger) if rng is None else _varied(body.trigger, rng)
    model: Json = {forms.id_name: forms.id_form(body.entity)}
    model |= forms.status(body.status, forms.word)
    model |= MODELS[body.trigger](body, forms.date)
    model["SimulatedEvent"] = body.marker
    return msgspec.json.encode(forms.wrapper(MODEL_NAMES[body.trigger], model))


def _plain(trigger: str) -> _Forms:
    return _Forms(DATE_FORMS[0], STATUS_FORMS[trigger][0], WORD_FORMS[0], WRAPPERS[0], "Id", int)


def _varied(trigger: str, rng: random.Random) -> _Forms:
    return _Forms(
        rng.choice(DATE_FORMS),
        rng.choice(STATUS_FORMS[trigger]),
        rng.choice(WORD_FORMS),
        rng.choice(WRAPPERS),
        rng.choice(("Id", MODEL_NAMES[trigger] + "Id")),
        rng.choice((int, str)),
    )


def _class(body: Content, date: Callable[[int], object]) -> Json:
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


def _course_assignment(body: Content, date: Callable[[int], object]) -> Json:
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


MODELS: dict[str, Callable[[Content, Callable[[int], object]], Json]] = {
    "class": _class,
    "course_assignment": _course_assignment,
}


NEXT: dict[str, dict[str, tuple[str, ...]]] = {
    "class": {
        "": ("requested", "tentative", "scheduled"),
        "requested": ("tentative", "scheduled", "denied"),
        "tentative": ("scheduled", "cancelled"),
        "scheduled": ("guaranteed_to_run", "rescheduled", "cancelled"),
        "rescheduled": ("scheduled", "guaranteed_to_run", "cancelled"),
        "guaranteed_to_run": ("completed", "completed", "rescheduled"),
    },
    "course_assignment": {
        "": ("started", "started", "started", "expired", "cancelled"),
        "started": ("completed", "completed", "expired", "cancelled"),
    },
}
"""For each trigger, what may follow a status; a status that is missing here ends the life."""

EVERY_STATUS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("class", ("requested", "tentative", "scheduled", "guaranteed_to_run", "completed")),
    ("class", ("rescheduled", "cancelled")),
    ("class", ("denied",)),
    ("course_assignment", ("started", "completed")),
    ("course_assignment", ("expired",)),
    ("course_assignment", ("cancelled",)),
)
"""Six lives that pass through each of the twelve pairs of trigger and status once."""

IDS_PER_SEED = 1_000_000
SEEDS_WITH_IDS = 2_000
"""Seeds up to this one have ids of their own, all within 32 bits."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change of one entity, as TMS sends it.

    Attributes:
        entity: id of the course assignment or class.
        step: 1 for the entity's first event.
        marker: names this event; it stands in the body, so that a consumer can match the two.
    """

    trigger: str
    status: str
    entity: int
    step: int
    marker: str
    body: bytes


def lives(seed: int, place: int, entities: int, *, plain: bool = False) -> Iterator[Event]:
    """Yield the events of the entity at this place, and of those that follow it when it has ended."""
    number = place
    while True:
        rng = random.Random(f"{seed}/{number}")  # noqa: S311 - a simulation wants a seeded generator
        trigger = "class" if number % 2 else "course_assignment"
        yield from events(trigger, walk(trigger, rng), seed, number, rng if not plain else None)
        number += entities


def walk(trigger: str, rng: random.Random) -> Iterator[str]:
    """Yield the statuses of one life."""
    status = ""
    while following := NEXT[trigger].get(status):
        status = rng.choice(following)
        yield status


def events(
    trigger: str, statuses: Iterator[str] | Sequence[str], seed: int, number: int, rng: random.Random | None
) -> Iterator[Event]:
    """Yield one life's events; without a generator every body is encoded in the plainest way."""
    entity = seed % SEEDS_WITH_IDS * IDS_PER_SEED + number + 1
    for step, status in enumerate(statuses, 1):
        marker = f"{seed}-{entity}-{step}"
        body = encode(Content(trigger, status, entity, step, marker), rng)
        yield Event(trigger, status, entity, step, marker, body)
