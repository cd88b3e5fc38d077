import itertools
import json
from datetime import UTC, datetime

import pytest

from tms_bridge.cli.simulate import EVERY_STATUS, Event, lives
from tms_bridge.cli.simulate.lives import NEXT
from tms_bridge.ingest import decode, rules_of
from tms_bridge.settings.model import Source
from tms_events import Trigger


def some(seed: int = 1, place: int = 0, *, plain: bool = False) -> list[Event]:
    return list(itertools.islice(lives(seed, place, 10, plain=plain), 300))


def test_the_same_seed_sends_the_same_bodies() -> None:
    assert some() == some()
    assert [event.body for event in some()] != [event.body for event in some(seed=2)]


def test_seeds_and_places_share_no_entity() -> None:
    groups = [{event.entity for event in some(seed, place)} for seed in (1, 2) for place in (0, 1)]
    assert sum(map(len, groups)) == len(set.union(*groups))


@pytest.mark.parametrize("place", [0, 1])
def test_each_life_follows_the_table_to_an_end(place: int) -> None:
    for _, life in itertools.groupby(some(place=place)[:-10], key=lambda event: event.entity):
        before = ""
        for step, event in enumerate(life, 1):
            assert step == event.step
            assert event.status in NEXT[event.trigger][before]
            before = event.status


def test_an_entity_is_followed_by_one_that_no_other_place_has() -> None:
    assert {1_000_001 % 10} == {event.entity % 10 for event in some()}


def test_every_body_differs_even_where_a_status_comes_back() -> None:
    bodies = [event.body for event in some(place=1)]
    assert len(bodies) == len(set(bodies))


def test_a_plain_body_is_the_bare_model_of_the_api() -> None:
    event = some(place=1, plain=True)[0]
    model = json.loads(event.body)
    assert event.entity == model["Id"]
    assert {"ConfirmationStatusId", "Start", "End", "InstructorIds"} <= set(model)
    assert isinstance(model["Start"], int)


def test_varied_bodies_use_every_documented_wrapper_and_date_form() -> None:
    text = b"\n".join(event.body for event in [*some(), *some(place=1)]).decode()
    for sign in (
        '{"Class":',
        '{"CourseAssignment":',
        '{"Data":',
        '"Results":[',
        "/Date(",
        'Z"',
        '-01"',
        '"Canceled"',
    ):
        assert sign in text


def test_the_twelve_pairs_are_each_there_once() -> None:
    pairs = [(trigger, status) for trigger, statuses in EVERY_STATUS for status in statuses]
    assert 12 == len(pairs) == len(set(pairs))


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("plain", [False, True])
def test_the_bridge_understands_every_body_as_it_was_meant(place: int, *, plain: bool) -> None:
    source = Source(allow_from=("any",), credentials=())
    rules = rules_of("contoso", source)
    for event in some(place=place, plain=plain):
        decoded = decode(event.body, rules[Trigger(event.trigger)], datetime(2027, 1, 1, tzinfo=UTC))
        assert (event.entity, event.status) == (decoded.entity.id, decoded.status)
