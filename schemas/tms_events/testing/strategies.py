"""Strategies for Hypothesis: any event that the contract allows, also those that nobody sends today."""

from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from hypothesis import strategies as st

from tms_events.class_ import Class
from tms_events.course_assignment import CourseAssignment, Moment
from tms_events.event import ClassChanged, CourseAssignmentChanged, Event, EventId
from tms_events.reading import Reading
from tms_events.status import ClassStatus, CourseAssignmentStatus, StatusFrom

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
"""Moments in UTC."""

IDS = st.integers(-(2**63), 2**63 - 1)
"""Numbers of TMS, as wide as the bridge reads them."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
"""Any text that UTF-8 can hold."""

PAYLOADS = st.recursive(
    st.none() | st.booleans() | IDS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)
"""Any JSON value."""

_ATOMS: dict[object, st.SearchStrategy[Any]] = {
    int: IDS,
    str: TEXTS,
    bool: st.booleans(),
    type(None): st.none(),
    Moment: MOMENTS,
    EventId: st.uuids(version=None).map(str),
    tuple[int, ...]: st.lists(IDS, max_size=3).map(tuple),
    tuple[str, ...]: st.lists(TEXTS, max_size=3).map(tuple),
    Any: PAYLOADS,
}


def classes() -> st.SearchStrategy[Class]:
    """Return a strategy for classes."""
    return _structs(Class)


def course_assignments() -> st.SearchStrategy[CourseAssignment]:
    """Return a strategy for course assignments."""
    return _structs(CourseAssignment)


def events() -> st.SearchStrategy[Event]:
    """Return a strategy for events of both triggers, with statuses and members of later versions."""
    return cast("st.SearchStrategy[Event]", _structs(ClassChanged) | _structs(CourseAssignmentChanged))


def _structs(struct: type[Any]) -> st.SearchStrategy[Any]:
    members = {field.name: _of(field.type) for field in msgspec.structs.fields(struct)}
    return st.builds(struct, **members)


def _of(kind: Any) -> st.SearchStrategy[Any]:
    if kind in _ATOMS:
        return _ATOMS[kind]
    if kind in (Class, CourseAssignment, Reading):
        return _structs(kind)
    if kind in (ClassStatus, CourseAssignmentStatus, StatusFrom):
        return st.sampled_from(kind) | TEXTS.map(kind)
    return st.one_of([_of(choice) for choice in kind.__args__])
