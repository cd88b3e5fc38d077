"""What happens to course assignments and classes: which status may follow which."""

import random
from collections.abc import Iterator, Sequence

import msgspec

from tms_bridge.cli.simulate.bodies import Body, encode

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
        body = encode(Body(trigger, status, entity, step, marker), rng)
        yield Event(trigger, status, entity, step, marker, body)
