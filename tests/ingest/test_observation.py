"""What is seen of a sender's bodies: names and types, never a value; bounded, and told when it changes."""

import json
import sys

import msgspec
import pytest

from tms_bridge.errors import Undecodable
from tms_bridge.ingest import (
    News,
    Observation,
    Observations,
    ObservedMember,
    Rules,
    schema_of,
    understand_in_full,
)
from tms_bridge.ingest.observation import MAX_PATHS, SAMPLE, SETTLED, pattern_of
from tms_events import Trigger

from .sources import BODIES, CLASS, STAMP, rules

USUAL = (BODIES / "class-scheduled.json").read_bytes()


class Watched:
    """Bodies as the webhook listener hands them over, and what was told of them."""

    def __init__(self, kept: tuple[Observation, ...] = ()) -> None:
        self.news: list[News] = []
        self.observations = Observations(kept, self.news.append)
        self.at_us = 1_000_000

    def take(self, body: bytes, times: int = 1, by: Rules = CLASS) -> None:
        for _ in range(times):
            self.at_us += 1
            try:
                kind = understand_in_full(body, by, STAMP)[2]
            except Undecodable:
                kind = None
            self.observations.note(body, by, kind, self.at_us)

    @property
    def seen(self) -> Observation:
        (observation,) = self.observations.all()
        return observation


def body_with(**members: object) -> bytes:
    return json.dumps(json.loads(USUAL) | members).encode()


def test_members_are_counted_with_their_types_their_fields_and_when_they_came() -> None:
    watched = Watched()
    watched.take(b'{"Id":1,"Status":"Denied","New":[{"Id":2},{"Id":"x"}]}')
    watched.take(b'{"Id":2,"Status":null,"New":[]}', 2)
    seen = watched.seen
    assert (seen.source, seen.trigger, seen.bodies, seen.others) == ("contoso", "class", 3, 0)
    assert {path: (member.count, member.types, member.field) for path, member in seen.members.items()} == {
        "/Id": (3, {"integer": 3}, "id"),
        "/Status": (3, {"string": 1, "null": 2}, "status"),
        "/New": (3, {"array": 3}, None),
        "/New/*": (1, {"object": 1}, None),
        "/New/*/Id": (1, {"integer": 1, "string": 1}, None),
    }
    assert (seen.members["/Id"].first_us, seen.members["/Id"].last_us) == (1_000_001, 1_000_003)


def test_a_body_of_a_known_kind_is_looked_at_now_and_then() -> None:
    watched = Watched()
    watched.take(b'{"Id":1,"New":1}')
    watched.take(b'{"Id":1,"New":"x"}', 2 * SAMPLE)
    types = watched.seen.members["/New"].types
    assert types["integer"] + types["string"] == 1 + 2 * SAMPLE
    assert types["string"] > SAMPLE


@pytest.mark.parametrize(
    ("new", "path", "kind", "known"),
    [
        ({"Planted": 5}, "/Planted", "integer", False),
        ({"Planted": None}, "/Planted", "null", False),
        ({"MaxStudents": "20"}, "/MaxStudents", "string", True),
        ({"MaxStudents": {"Of": 20}}, "/MaxStudents", "object", True),
        ({"Name": False}, "/Name", "boolean", True),
        ({"Start": "soon"}, "/Start", "string", True),
    ],
)
def test_what_was_never_seen_in_a_month_of_bodies_is_told_with_its_first_body(
    new: dict[str, object],
    path: str,
    kind: str,
    known: bool,  # noqa: FBT001 - the value under test
) -> None:
    watched = Watched()
    watched.take(USUAL, 5 * SETTLED)
    assert watched.news == []
    watched.take(body_with(**new))
    told = [news for news in watched.news if news.path == path]
    assert told == [News("contoso", "class", path, kind, known)]
    watched.take(body_with(**new), 3 * SAMPLE)
    assert [news for news in watched.news if news.path == path] == told


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"Id":1,"Status":"Denied","Room":{"Id":4,"Planted":1}}', "/Room/Planted"),
        (b'{"Id":1,"Status":"Denied","Room":{"Id":4},"Meetings":[{"Planted":null}]}', "/Meetings/*/Planted"),
        (b'{"Results":[{"Id":1,"Status":"Denied","Planted":{}}]}', "/Results/*/Planted"),
    ],
)
def test_a_new_member_deep_inside_is_told_with_its_first_body(body: bytes, path: str) -> None:
    watched = Watched()
    for usual in (
        b'{"Id":1,"Status":"Denied","Room":{"Id":4}}',
        b'{"Id":1,"Status":"Denied","Room":{"Id":4},"Meetings":[]}',
        b'{"Results":[{"Id":1,"Status":"Denied"}]}',
    ):
        watched.take(usual, SETTLED)
    watched.take(body)
    assert path in [news.path for news in watched.news]


def test_nothing_is_news_in_the_first_thousand_bodies() -> None:
    watched = Watched()
    for at in range(200):
        watched.take(body_with(**{f"New{at}": at}))
    assert watched.news == []


def test_a_stranger_cannot_fill_the_memory_nor_show_a_value() -> None:
    watched = Watched()
    for at in range(2 * MAX_PATHS):
        watched.take(b'{"Id":1,"x%d":"secret","%s":{"a/b~c":1}}' % (at, b"y" * 9000))
    watched.take(
        b'{"Id":1,"deep":' + b'{"d":' * 50 + b"1" + b"}" * 50 + b',"wide":[' + b"{}," * 30_000 + b"0]}"
    )
    seen = watched.seen
    assert len(seen.members) <= MAX_PATHS
    assert seen.others > MAX_PATHS
    kept = msgspec.json.encode(watched.observations.all())
    assert b"secret" not in kept
    assert len(kept) < 100_000


def test_a_body_that_is_no_event_is_seen_too_and_what_is_no_json_is_only_counted() -> None:
    watched = Watched()
    for body in (
        b'{"Key":7}',
        b"Id=1",
        b"\xff",
        b'"\\ud800"',
        b"[" * 1000,
        json.dumps('{"Twice":1}').encode(),
    ):
        watched.take(body)
    assert watched.seen.bodies == 6
    assert list(watched.seen.members) == ["/Key", "/Twice"]


def test_seeing_goes_on_after_a_restart() -> None:
    before = Watched()
    before.take(USUAL, SETTLED)
    kept = msgspec.json.decode(msgspec.json.encode(before.observations.all()), type=tuple[Observation, ...])
    after = Watched(kept)
    after.take(USUAL)
    assert after.seen.bodies == SETTLED + 1
    assert after.seen.members["/Id"].count == SETTLED + 1
    after.take(body_with(Planted=1))
    assert [news.path for news in after.news] == ["/Planted"]


def test_a_pointer_that_the_settings_bring_shows_in_what_a_member_is_read_as() -> None:
    watched = Watched()
    watched.take(b'{"Id":1,"State":3}')
    assert watched.seen.members["/State"].field is None
    watched.take(b'{"Id":1,"State":3}', SAMPLE, rules(Trigger.CLASS, {"status": "/State"}))
    assert watched.seen.members["/State"].field == "status"


def test_numbers_in_a_pointer_are_any_element() -> None:
    assert pattern_of("/Results/0/Class/Id") == "/Results/*/Class/Id"


def test_a_body_of_a_known_kind_is_counted_in_one_step_but_for_one_in_many() -> None:
    watched = Watched()
    watched.take(USUAL)
    kind = understand_in_full(USUAL, CLASS, STAMP)[2]
    steps = []
    sys.setprofile(lambda _, event, __: steps.append(event) if event == "call" else None)
    try:
        for at in range(SAMPLE - 2):
            watched.observations.note(USUAL, CLASS, kind, at)
    finally:
        sys.setprofile(None)
    assert len(steps) == SAMPLE - 2
    assert watched.seen.members["/Id"].count == SAMPLE - 1


def test_a_member_whose_parent_had_no_more_room_is_left_out_of_the_schema() -> None:
    orphan = ObservedMember("/Gone/Id", 1, 1, 1, {"integer": 1})
    assert schema_of(Observation("contoso", "class", 1, 1, 5, {"/Gone/Id": orphan})) == {
        "title": "class bodies of contoso, as seen"
    }
