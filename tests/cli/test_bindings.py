import json
from pathlib import Path

import pytest

from tms_bridge.cli.bus.bindings import judge
from tms_bridge.settings.amqp import routing_keys

from .archived import fill, spread, with_archive
from .conftest import QUEUE, Invoke

KEYS = routing_keys("tms")


@pytest.fixture
def with_queue(config: Path) -> Path:
    config.write_text(config.read_text().replace("[outbox]", QUEUE + "[outbox]"))
    return config


def test_what_a_queue_gets_and_what_not_is_told_with_the_reason(invoke: Invoke, with_queue: Path) -> None:
    result = invoke("bindings", "check", "crm", "--config", with_queue, "--json")
    checked = json.loads(result.stdout)
    assert (0, "crm", ["tms.class.*", "tms.*.completed"], []) == (
        result.exit_code, checked["queue"], checked["bindings"], checked["idle"]
    )  # fmt: skip
    events = {event["routing_key"]: (event["gets"], event["why"]) for event in checked["events"]}
    assert KEYS == list(events)
    assert (True, "by tms.class.*") == events["tms.class.denied"]
    assert (True, "by tms.*.completed") == events["tms.course_assignment.completed"]
    assert (False, "tms.class.* wants class, this has course_assignment") == events[
        "tms.course_assignment.started"
    ]


def test_people_get_a_table(invoke: Invoke, with_queue: Path) -> None:
    lines = invoke("bindings", "check", "crm", "--config", with_queue).stdout.splitlines()
    assert ["tms.class.denied", "ok", "by", "tms.class.*"] in [line.split() for line in lines]


def test_a_misspelt_binding_is_exit_code_1_with_the_right_spelling(invoke: Invoke, config: Path) -> None:
    result = invoke("bindings", "check", "rooms", "--binding", "tms.class.canceled", "--config", config)
    assert 1 == result.exit_code
    said = "tms.class.canceled matches no event of this bridge: did you mean tms.class.cancelled?"
    assert said in result.stdout


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("tms.class", "tms.class has 2 words, events have 3"),
        ("acme.class.*", "acme.class.* wants acme, events have tms"),
        ("tms.Class.*", "did you mean tms.class.*?"),
        ("acme.#", "acme.# matches other keys"),
    ],
)
def test_a_binding_that_takes_nothing_says_why(pattern: str, why: str) -> None:
    checked = judge("rooms", [pattern], KEYS)
    assert [why] == [idle.why for idle in checked.idle]
    assert not any(event.gets for event in checked.events)


@pytest.mark.parametrize("pattern", ["#", "tms.#", "tms.*.*", "*.class.#"])
def test_a_pattern_that_takes_something_is_not_idle(pattern: str) -> None:
    assert [] == judge("rooms", [pattern], KEYS).idle


def test_every_prefix_that_is_configured_counts(invoke: Invoke, config: Path) -> None:
    config.write_text(
        config.read_text().replace("[sources.contoso]", '[sources.contoso]\nrouting_key_prefix = "acme.tms"')
    )
    result = invoke(
        "bindings", "check", "rooms", "--binding", "acme.tms.class.*", "--config", config, "--json"
    )
    assert 0 == result.exit_code
    assert routing_keys("acme.tms") == [event["routing_key"] for event in json.loads(result.stdout)["events"]]


def test_a_queue_that_nobody_knows_is_a_wrong_call(invoke: Invoke, with_queue: Path) -> None:
    result = invoke("bindings", "check", "rooms", "--config", with_queue)
    assert (2, True) == (
        result.exit_code,
        "(configured: crm); give its bindings with --binding" in result.stderr,
    )


def test_a_queue_without_bindings_gets_nothing() -> None:
    assert {"the queue has no binding"} == {event.why for event in judge("rooms", [], KEYS).events}


@pytest.fixture
def archive(with_broker: Path, vhost: str) -> Path:
    fill(vhost, spread(300, hours=3))
    return with_archive(with_broker)


def test_the_archive_says_what_a_queue_has_missed(invoke: Invoke, archive: Path) -> None:
    asked = ("bindings", "check", "--config", archive, "--since", "2026-11-20T10:00Z")
    result = invoke(*asked, "crm", "--json")
    events = {event["routing_key"]: event for event in json.loads(result.stdout)["events"]}
    assert (0, 100, True) == (
        result.exit_code, events["tms.class.scheduled"]["events"], events["tms.class.scheduled"]["gets"]
    )  # fmt: skip
    assert {
        "routing_key": "tms.course_assignment.started",
        "gets": False,
        "why": "tms.class.* wants class, this has course_assignment",
        "events": 100,
        "first": "2026-11-20T10:00:00Z",
        "last": "2026-11-20T11:58:48Z",
    } == events["tms.course_assignment.started"]
    assert 0 == events["tms.class.denied"]["events"]
    said = (
        "crm takes 100 of 200 events; to get the others, bind it to tms.course_assignment.started (100) too"
    )
    assert said in invoke(*asked, "crm").stdout
    with_others = invoke(*asked, "rooms", "--binding", "tms.class.*", "--binding", "tms.*.started")
    assert "rooms takes 200 of 200 events\n" in with_others.stdout


def test_without_an_archive_nobody_knows_what_was_missed(invoke: Invoke, with_queue: Path) -> None:
    result = invoke("bindings", "check", "crm", "--config", with_queue, "--since", "1d")
    assert (2, True) == (result.exit_code, "there is no [amqp.archive]" in result.stderr)
