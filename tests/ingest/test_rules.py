# ruff: noqa: E501 - a table of settings and reasons reads best with a row on a line

import pytest

from tms_bridge.errors import SettingsError, Undecodable
from tms_bridge.ingest import decode, rules_of
from tms_bridge.ingest.fields import names_of
from tms_bridge.settings.model import Source
from tms_bridge.settings.sources import _FIELDS
from tms_events import Trigger

from .sources import NOON, read_assignment, read_class, rules


def test_every_status_has_its_routing_key_under_the_prefix_of_the_source() -> None:
    keys = rules(Trigger.COURSE_ASSIGNMENT, routing_key_prefix="acme.tms").routing_keys
    assert keys == {
        "started": "acme.tms.course_assignment.started",
        "completed": "acme.tms.course_assignment.completed",
        "expired": "acme.tms.course_assignment.expired",
        "cancelled": "acme.tms.course_assignment.cancelled",
        "unknown": "acme.tms.course_assignment.unknown",
    }


@pytest.mark.parametrize("prefix", ["", "a.*", "x" * 250])
def test_a_prefix_that_no_key_can_have_is_named(prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"sources\.contoso\.routing_key_prefix: "):
        rules(Trigger.CLASS, routing_key_prefix=prefix)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"lesson": {}}, "sources.contoso.fields.lesson: there is no such trigger; write class or course_assignment"),
        ({"class": {"colour": "/x"}}, "sources.contoso.fields.class.colour is no field of a class; there are id,"),
        ({"course_assignment": {"name": "/x"}}, "sources.contoso.fields.course_assignment.name is no field of a"),
        ({"class": {"id": "Id"}}, "sources.contoso.fields.class.id: 'Id' is not a JSON Pointer to a member"),
        ({"class": {"id": ""}}, "sources.contoso.fields.class.id: '' is not a JSON Pointer"),
        ({"class": {"id": "/a~2"}}, "sources.contoso.fields.class.id: '/a~2' is not a JSON Pointer"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_named(fields: dict[str, dict[str, str]], why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        rules_of("contoso", Source(allow_from=("any",), credentials=(), fields=fields))
    assert str(caught.value).startswith(why)


def test_a_pointer_overrules_what_would_be_found() -> None:
    by = rules(Trigger.CLASS, {"status": "/Change/New", "start": "/When"})
    entity, decoded = read_class(b'{"Id":1,"Status":"Denied","Change":{"New":3},"When":60,"Start":0}', by)
    assert decoded.status == "rescheduled"
    assert entity.start is not None
    assert entity.start.timestamp() == 60


def test_the_other_members_lie_beside_the_id_that_a_pointer_names() -> None:
    by = rules(Trigger.COURSE_ASSIGNMENT, {"id": "/Event/Items/0/Key"})
    body = b'{"Id":9,"UserId":1,"Event":{"Items":[{"Key":"7","UserId":8,"Status":"Started"}]}}'
    entity, decoded = read_assignment(body, by)
    assert (entity.id, entity.user_id, decoded.status) == (7, 8, "started")


def test_a_pointer_says_which_of_two_models_is_meant() -> None:
    body = b'{"Id": 900, "Class": {"Id": 7, "Status": "Denied"}}'
    entity, decoded = read_class(body, rules(Trigger.CLASS, {"id": "/Class/Id"}))
    assert (entity.id, decoded.status) == (7, "denied")


def test_steps_of_a_pointer_are_unescaped() -> None:
    by = rules(Trigger.CLASS, {"id": "/a~1b/m~0n/~01"})
    assert read_class(b'{"a/b": {"m~n": {"~1": 7}}}', by)[0].id == 7


@pytest.mark.parametrize(
    ("pointer", "body"),
    [
        ("/Key", b'{"Id": 1}'),
        ("/Key", b'{"Key": null}'),
        ("/A/Key", b'{"A": 5}'),
        ("/A/0/Key", b'{"A": []}'),
        ("/A/1", b'{"A": [5]}'),
        ("/A/00", b'{"A": [5]}'),
        ("/A/-", b'{"A": [5]}'),
    ],
)
def test_an_id_that_is_not_where_the_settings_say_is_a_reason_for_quarantine(
    pointer: str, body: bytes
) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(body, rules(Trigger.CLASS, {"id": pointer}), NOON)
    assert str(caught.value) == f"nothing is at {pointer}, where the settings say that the id is"


def test_a_status_that_is_not_where_the_settings_say_is_untold() -> None:
    _, decoded = read_class(b'{"Id":1,"Status":"Denied"}', rules(Trigger.CLASS, {"status": "/Change/New"}))
    assert (decoded.status, decoded.raw_status) == ("unknown", None)


def test_a_member_on_the_way_of_a_pointer_may_not_occur_twice() -> None:
    with pytest.raises(Undecodable, match="/A occurs 2 times"):
        decode(b'{"A":{"Key":1},"A":{"Key":1}}', rules(Trigger.CLASS, {"id": "/A/Key"}), NOON)


@pytest.mark.parametrize("trigger", list(Trigger))
def test_the_settings_check_knows_the_fields_that_ingest_knows(trigger: Trigger) -> None:
    assert sorted(_FIELDS[trigger]) == sorted(names_of(trigger))
