"""The plain path: what it takes, in which order, and that no sender can fill or poison what it remembers."""

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import asdict

from tms_bridge.ingest.plain import (
    MAX_OUTLINES,
    PlainClass,
    PlainCourseAssignment,
    _outlines,
    decode_plainly,
    outline_of,
)
from tms_events import Class, CourseAssignment, Trigger

from .sources import ASSIGNMENT, BODIES, CLASS, message_of


@pytest.mark.parametrize(
    ("plain", "typed", "follows"),
    [(PlainCourseAssignment, CourseAssignment, ()), (PlainClass, Class, ("time_zone",))],
)
def test_the_plain_models_have_the_fields_of_the_typed_ones_in_their_order(
    plain: type[msgspec.Struct], typed: type[msgspec.Struct], follows: tuple[str, ...]
) -> None:
    # The typed struct is filled by position, so that a field in another place would hold another's value.
    *fields, status = plain.__struct_fields__
    assert (tuple(fields) + follows, status) == (typed.__struct_fields__, "status")


@pytest.mark.parametrize("path", sorted(BODIES.glob("*.json")), ids=lambda path: path.stem)
def test_the_bodies_of_the_published_model_take_the_plain_path(path: Path) -> None:
    trigger = Trigger.CLASS if path.stem.startswith("class") else Trigger.COURSE_ASSIGNMENT
    assert decode_plainly(path.read_bytes().strip(), trigger) is not None


def test_a_stranger_can_neither_fill_nor_poison_what_is_remembered_of_bodies() -> None:
    usual = ("Id", "Status", "Start")
    before = outline_of(usual, Trigger.CLASS)
    for at in range(10 * MAX_OUTLINES):
        message_of(json.dumps({"Id": 1, f"New{at}": at}).encode(), CLASS)
        message_of(json.dumps({"Id": 1, "x" * 5000: at}).encode(), CLASS)
    assert len(_outlines[Trigger.CLASS]) <= MAX_OUTLINES
    assert sum(len("".join(names)) for names in _outlines[Trigger.CLASS]) <= MAX_OUTLINES * 4096
    assert asdict(outline_of(usual, Trigger.CLASS)) == asdict(before)
    assert usual in _outlines[Trigger.CLASS]


def test_what_one_trigger_has_seen_says_nothing_to_the_other() -> None:
    body = b'{"Id":1,"UserId":2,"Complete":1,"Status":"Completed"}'
    assert decode_plainly(body, Trigger.COURSE_ASSIGNMENT) is not None
    assert decode_plainly(body, Trigger.CLASS) is None


@pytest.mark.parametrize("size", [10, 5_000, 100_000])
@pytest.mark.parametrize("space", ["", " "])
def test_a_member_that_occurs_twice_is_seen_at_any_size(size: int, space: str) -> None:
    text = "a:b" * size
    once = f'{{"Id":1,{space}"Description":"{text}"}}'.encode()
    twice = f'{{"Id":1,{space}"Description":"{text}","Name":"a:b","Name":"c"}}'.encode()
    assert decode_plainly(once, Trigger.CLASS) is not None
    assert decode_plainly(twice, Trigger.CLASS) is None
    assert message_of(b'{"Id":1,"UserId":5}', ASSIGNMENT).entity == "1"


@pytest.mark.parametrize("number", ["1e309", "-1.5E400", "9" * 4301])
def test_a_number_that_many_readers_cannot_read_is_left_to_the_tolerant_path(number: str) -> None:
    for held in (number, f"[{number}]", f'{{"x":{number}}}'):
        assert decode_plainly(f'{{"Id":1,"New":{held}}}'.encode(), Trigger.CLASS) is None
