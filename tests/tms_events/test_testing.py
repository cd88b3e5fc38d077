"""The kit for consumers' tests."""

from typing import get_type_hints

import msgspec
import pytest
from hypothesis import given

from tms_events import (
    Class,
    ClassChanged,
    CourseAssignment,
    CourseAssignmentChanged,
    Event,
    MessageError,
    Newest,
    Verdict,
    decode,
    encode,
    entity_key,
    from_dict,
    to_dict,
)
from tms_events.testing import (
    POISON,
    ClassMembers,
    CourseAssignmentMembers,
    deliver,
    disturb,
    make_event,
    strategies,
)

pytest_plugins = ["pytester"]


def test_an_event_has_sensible_members_and_those_that_are_asked_for() -> None:
    event = make_event("class", "cancelled", entity_id=4711, name="Azure", max_students=12, source="fabrikam")
    assert isinstance(event, ClassChanged)
    assert (event.status, event.class_.name, event.class_.max_students) == ("cancelled", "Azure", 12)
    assert entity_key(event) == "fabrikam/class/4711"
    assert event.payload == {"Status": "cancelled", "Name": "Azure", "MaxStudents": 12, "Id": 4711}


def test_every_event_is_newer_than_those_before() -> None:
    events: list[Event] = [make_event("class"), make_event("course_assignment"), make_event("class")]
    assert sorted(events, key=lambda event: (event.received_at, event.id)) == events
    assert [type(event) for event in events] == [ClassChanged, CourseAssignmentChanged, ClassChanged]
    assert len({event.id for event in events}) == 3


def test_names_and_types_are_checked() -> None:
    with pytest.raises(TypeError, match="no member colour"):
        make_event("class", colour="red")  # type: ignore[call-overload]  # as a type checker says too
    with pytest.raises(msgspec.ValidationError, match=r"Expected `int \| null`, got `str`"):
        make_event("class", max_students="twelve")  # type: ignore[call-overload]  # as above
    with pytest.raises(TypeError, match="no member name"):
        make_event("course_assignment", name="Azure")  # type: ignore[call-overload]  # as above


@pytest.mark.parametrize(
    ("members", "event", "entity"),
    [
        (ClassMembers, ClassChanged, Class),
        (CourseAssignmentMembers, CourseAssignmentChanged, CourseAssignment),
    ],
)
def test_type_checkers_know_every_member(
    members: type, event: type[msgspec.Struct], entity: type[msgspec.Struct]
) -> None:
    of_event = {"id", "source", "raw_status", "status_from", "received_at", "reading", "payload"}
    assert of_event < set(event.__struct_fields__)
    assert set(get_type_hints(members)) == of_event | set(entity.__struct_fields__) | {"entity_id"}


@given(strategies.events())
def test_every_event_that_hypothesis_makes_survives_the_wire(event: Event) -> None:
    assert decode(encode(event)) == from_dict(to_dict(event)) == event


def test_a_message_carries_what_the_bridge_sends() -> None:
    event = make_event("class", "archived")
    message = deliver(event)
    assert (message.routing_key, message.message_id) == ("tms.class.unknown", event.id)
    assert message.headers["cloudEvents_type"] == "com.skillable.tms.class.archived"
    assert decode(message.body) == event


def test_a_bad_day_has_copies_and_a_late_one() -> None:
    first, second = make_event("class", "requested"), make_event("class", "scheduled")
    assert [(decode(one.body), one.redelivered) for one in disturb([first, second])] == [
        (first, False), (first, True), (second, False), (second, True), (first, True),
    ]  # fmt: skip
    assert disturb([]) == []


def test_newest_is_where_it_should_be_after_a_bad_day() -> None:
    events = [make_event("class", status) for status in ("requested", "scheduled", "cancelled", "scheduled")]
    newest, applied = Newest(), list[Event]()
    for delivery in disturb(events):
        event, digest = decode(delivery.body), str(delivery.headers["tms-digest"])
        if newest.judge(event, digest) is Verdict.FRESH:
            applied.append(event)
            newest.remember(event, digest)
    assert applied == events


def test_poison_is_no_event() -> None:
    with pytest.raises(MessageError):
        decode(POISON)


def test_the_plugin_brings_an_event_of_each_kind_and_a_bad_day(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["tms_events.testing.plugin"]')
    pytester.makepyfile(
        """
        import tms_events

        def test_each_kind(tms_event, tms_delivery):
            assert tms_events.decode(tms_delivery.body) == tms_event

        def test_a_bad_day(tms_deliveries, tms_outcome):
            seen, state = set(), {}
            for delivery in tms_deliveries:
                event = tms_events.decode(delivery.body)
                if event.id not in seen:
                    state[tms_events.entity_key(event)] = event.status
                    seen.add(event.id)
            assert state == tms_outcome
            assert "archived" in state.values()
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=20)
