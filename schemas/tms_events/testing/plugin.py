"""Fixtures for pytest: `pytest_plugins = ["tms_events.testing.plugin"]` in the topmost conftest.py."""

import pytest

from tms_events.artefact.golden import Golden, golden_messages
from tms_events.event import ClassChanged, Event, entity_key
from tms_events.testing import Delivery, deliver, disturb, make_event

_GOLDEN = golden_messages()


@pytest.fixture(params=_GOLDEN, ids=[golden.name for golden in _GOLDEN])
def tms_event(request: pytest.FixtureRequest) -> Event:
    """One event of each kind: every routing key, an untold status, a derived one, one without payload."""
    golden: Golden = request.param
    return golden.event


@pytest.fixture
def tms_delivery(tms_event: Event) -> Delivery:
    """The same as a message."""
    return deliver(tms_event)


@pytest.fixture
def tms_history() -> list[Event]:
    """What befalls two classes and a course assignment; last a status that nobody knows yet."""
    class_history: list[ClassChanged] = [
        make_event("class", status, entity_id=number)
        for status in ("requested", "scheduled", "cancelled", "scheduled")
        for number in (1, 2)
    ]
    started = make_event("course_assignment", "started", entity_id=1)
    return [*class_history, started, make_event("class", "archived", entity_id=2)]


@pytest.fixture
def tms_deliveries(tms_history: list[Event]) -> list[Delivery]:
    """The messages of `tms_history` with copies, and with the oldest coming again after the newest."""
    return disturb(tms_history)


@pytest.fixture
def tms_outcome(tms_history: list[Event]) -> dict[str, str]:
    """Where every consumer must be after `tms_deliveries`: the last status by `entity_key`."""
    return {entity_key(event): event.status for event in tms_history}
