"""The command `fields`: what came, as whom it was read, and what would make events of the rest."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import msgspec
import pytest
from tests.admin.live import live_bridge
from tests.cli.test_rows import keep, undecodable
from tests.outbox.outboxes import quarantine

from tms_bridge.bootstrap.observed import FILE_NAME, KeptObservations
from tms_bridge.ingest import Observation, Observations, propose, rules_of, schema_of
from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Source
from tms_events import Trigger

from .conftest import Invoke

RULES = rules_of("contoso", Source(allow_from=("any",), credentials=()))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODIES = (
    b'{"Id":1,"Status":"Denied","Room":{"Id":4,"Seats":20}}',
    b'{"Id":2,"Status":null,"Room":{"Id":5}}',
    b'{"Id":3,"Status":"Denied","Notes":["x",1]}',
)


def seen_of(bodies: Sequence[bytes]) -> tuple[Observation, ...]:
    observations = Observations()
    for at, body in enumerate(bodies):
        observations.note(body, RULES[Trigger.CLASS], None, 1_772_366_400_000_000 + at)
    return observations.all()


@pytest.fixture
def seen(config: Path) -> Path:
    """A configuration whose outbox directory says what came."""
    directory = config.parent / "outbox"
    directory.mkdir()
    (directory / FILE_NAME).write_bytes(msgspec.json.encode(KeptObservations(1, seen_of(BODIES))))
    return config


def test_members_show_how_often_they_came_and_as_what_they_are_read(invoke: Invoke, seen: Path) -> None:
    (answer,) = json.loads(invoke("fields", "--config", seen, "--json").stdout)
    assert ("contoso", "class", 3, 0) == tuple(
        answer[name] for name in ("source", "trigger", "bodies", "others")
    )
    told = {one["path"]: (one["types"], one["missing"], one["read_as"]) for one in answer["members"]}
    assert told == {
        "/Id": ({"integer": 3}, 0, "id"),
        "/Status": ({"string": 2, "null": 1}, 0, "status"),
        "/Room": ({"object": 2}, 1, None),
        "/Room/Id": ({"integer": 2}, 0, None),
        "/Room/Seats": ({"integer": 1}, 1, None),
        "/Notes": ({"array": 1}, 2, None),
        "/Notes/*": ({"string": 1, "integer": 1}, 0, None),
    }
    table = invoke("fields", "--config", seen, "--source", "contoso").stdout
    assert "class bodies of contoso: 3 since 2026-03-01T12:00:00.000Z" in table
    assert "/Room/Seats" in table
    assert "Denied" not in table


def test_the_schema_takes_every_body_that_came_and_none_of_another_shape(invoke: Invoke, seen: Path) -> None:
    schema = json.loads(invoke("fields", "--config", seen, "--trigger", "class", "--schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert [True] * 3 == [validator.is_valid(json.loads(body)) for body in BODIES]
    for other in (b'{"Status":"Denied"}', b'{"Id":"1","Status":null}', b'{"Id":1,"Status":null,"Room":{}}'):
        assert not validator.is_valid(json.loads(other))
    assert ["Id", "Status"] == schema["required"]


def test_several_schemas_are_one_document(config: Path, invoke: Invoke) -> None:
    assert {"$schema"} == json.loads(invoke("fields", "--config", config, "--schema").stdout).keys()
    (observation,) = seen_of(BODIES)
    assert "Denied" not in json.dumps(schema_of(observation))


def test_nothing_seen_yet_is_said(invoke: Invoke, config: Path) -> None:
    result = invoke("fields", "--config", config)
    assert (0, "no body has come yet, or none that matches\n") == (result.exit_code, result.stdout)
    assert 2 == invoke("fields", "--config", config, "--source", "fabrikam").exit_code


async def test_a_running_bridge_tells_what_it_sees_now(invoke: Invoke, tmp_path: Path) -> None:
    async with live_bridge(tmp_path) as bridge:
        assert 202 == await bridge.webhook(1)
        args = ("fields", "--config", tmp_path / "tms-bridge.toml", "--json")
        (answer,) = json.loads((await asyncio.to_thread(invoke, *args)).stdout)
    assert [("/ConfirmationStatusId", 1), ("/Id", 1)] == [
        (one["path"], one["count"]) for one in answer["members"]
    ]


STRANGERS = [
    b'{"Event":{"Key":%d,"CourseId":9,"UserKey":3},"State":{"New":"%s"}}' % (number, word)
    for number, word in enumerate((b"Denied", b"Scheduled", b"Umgeplant"))
]


def test_a_proposal_names_the_pointers_that_would_release_the_most() -> None:
    proposal = propose([*STRANGERS, b"[]", b'{"Id":1}'], RULES[Trigger.CLASS], NOON)
    assert {"id": "/Event/Key", "status": "/State/New"} == proposal.pointers
    assert (3, 2, 4) == (proposal.released, proposal.told, proposal.bodies)


@pytest.mark.parametrize(
    ("bodies", "pointers"),
    [
        ([b"[]", b"\xff", b"{}"], {}),
        ([b'{"CourseId":1,"Name":"x"}'], {}),
        ([b'{"Id":1,"Class":{"Id":2,"Status":"Denied"}}'], {"id": "/Class/Id"}),
        ([b'{"Id":1,"Status":"Denied","StatusName":"Completed"}'], {"status": "/Status"}),
        ([b'{"Payload":{"ClassKey":5,"RoomKey":6}}'], {"id": "/Payload/ClassKey"}),
    ],
)
def test_a_proposal_points_to_nothing_that_is_the_id_of_something_else(
    bodies: list[bytes], pointers: dict[str, str]
) -> None:
    proposed = propose(bodies, RULES[Trigger.CLASS], NOON).pointers
    assert pointers == {name: proposed[name] for name in pointers} if pointers else proposed == {}


def test_the_quarantine_gets_the_settings_that_would_release_it(invoke: Invoke, config: Path) -> None:
    assert 1 == invoke("fields", "--config", config, "--propose").exit_code  # there is no outbox yet

    async def fill(journal: Journal) -> None:
        for number, body in enumerate(STRANGERS):
            await quarantine(journal, msgspec.structs.replace(undecodable(body), id=f"q-{number}"))

    keep(config, fill)
    result = invoke("fields", "--config", config, "--propose")
    assert 0 == result.exit_code
    told = "# bodies in quarantine that would be events: 3 of 3; with a status that is known: 2\n"
    assert told in result.stdout
    assert '[sources.contoso.fields.class]\nid = "/Event/Key"\nstatus = "/State/New"\n' in result.stdout
    block = result.stdout.split("\n\n")[0]
    config.write_text(config.read_text() + "\n" + block)
    assert 0 == invoke("quarantine", "replay", "--all", "--config", config).exit_code
    emptied = invoke("fields", "--config", config, "--propose")
    assert (0, "no body is in quarantine because it could not be understood\n") == (
        emptied.exit_code,
        emptied.stdout,
    )
