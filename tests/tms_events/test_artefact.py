"""The files for other languages, and what they say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest

from tms_events import TOPICS, Trigger, decode, encode, to_dict, wire
from tms_events.__main__ import main
from tms_events.artefact.files import files
from tms_events.artefact.golden import Golden, golden_messages

SCHEMAS = Path(__file__).parents[2] / "schemas"
GOLDEN = golden_messages()
PYTHON_WORDS = re.compile(r"\b(None|msgspec|class_|zoneinfo|bytes|tuple|StrEnum)\b")


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(
        json.loads((SCHEMAS / name).read_text()), format_checker=jsonschema.FormatChecker()
    )


def valid(body: object, trigger: str) -> bool:
    own = [*validator(f"{trigger}_changed.json").iter_errors(body)]
    either = [*validator("event.json").iter_errors(body)]
    assert bool(own) == bool(either)
    return not own


def described(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("description"), str):
            yield value["description"]
        for member in value.values():
            yield from described(member)
    elif isinstance(value, list):
        for member in value:
            yield from described(member)


def test_the_checked_in_files_are_what_the_code_says() -> None:
    contents = files()
    assert {name: (SCHEMAS / name).read_text() for name in contents} == contents
    golden = {f"golden/{path.name}" for path in (SCHEMAS / "golden").iterdir()}
    assert golden == {name for name in contents if name.startswith("golden/")}


def test_the_exporter_writes_them_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "new"), "--exchange", "acme.events", "--prefix", "acme"]) == 0
    assert {str(tmp_path / "new" / name) for name in files()} == set(capsys.readouterr().out.splitlines())
    document = json.loads((tmp_path / "new" / "asyncapi.json").read_text())
    assert document["channels"]["class"]["bindings"]["amqp"]["exchange"]["name"] == "acme.events"
    assert document["channels"]["class"]["parameters"]["prefix"]["default"] == "acme"
    message = json.loads((tmp_path / "new" / "golden" / "class.denied.json").read_text())
    assert (message["exchange"], message["routing_key"]) == ("acme.events", "acme.class.denied")


def test_there_is_a_golden_message_for_each_routing_key_and_each_special_case() -> None:
    assert tuple(golden.document()["routing_key"] for golden in GOLDEN[: len(TOPICS)]) == TOPICS
    assert [golden.name for golden in GOLDEN[len(TOPICS) :]] == [
        "class.unknown.untold",
        "course_assignment.completed.derived",
        "class.scheduled.reading",
        "class.cancelled.without_payload",
        "class.completed.replayed",
    ]
    assert len({golden.event.id for golden in GOLDEN}) == len(GOLDEN)


@pytest.mark.parametrize("golden", GOLDEN, ids=[golden.name for golden in GOLDEN])
def test_a_golden_message_is_an_event_and_fits_its_schema(golden: Golden) -> None:
    body = golden.document()["body"]
    assert decode(json.dumps(body).encode()) == decode(encode(golden.event)) == golden.event
    assert to_dict(golden.event) == body
    assert valid(body, golden.event.trigger)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({"status": "archived", "status_from": "operator"}, True),
        ({"weather": "fine"}, True),
        ({"payload": [1, "any", None]}, True),
        ({"status": 5}, False),
        ({"id": "no uuid"}, False),
        ({"received_at": None}, False),
        ({"class": {"id": 7}}, False),
        ({"trigger": "course_assignment"}, False),
        ({"reading": {"unread": "name"}}, False),
    ],
)
def test_a_schema_allows_what_the_package_allows_and_wants_what_is_always_sent(
    change: dict[str, object], *, fits: bool
) -> None:
    event = next(golden.event for golden in GOLDEN if golden.event.trigger is Trigger.CLASS)
    assert valid(to_dict(event) | change, "class") is fits


@pytest.mark.parametrize(
    "member", ["trigger", "id", "source", "status", "raw_status", "received_at", "class"]
)
def test_what_is_always_sent_is_required(member: str) -> None:
    body = to_dict(next(golden.event for golden in GOLDEN if golden.event.trigger is Trigger.CLASS))
    assert not valid({name: value for name, value in body.items() if name != member}, "class")


@pytest.mark.parametrize("name", [name for name in files() if name.endswith("json")])
def test_a_document_speaks_no_python(name: str) -> None:
    assert [text for text in described(json.loads(files()[name])) if PYTHON_WORDS.search(text)] == []


def test_every_member_is_described_in_the_types_of_typescript_too() -> None:
    declared = files()["index.d.ts"]
    assert "min_students: number | null;" in declared
    assert "time_zone?: string | null;" in declared
    assert "[key: string]" not in declared
    assert PYTHON_WORDS.search(declared) is None


def test_the_ids_of_schemas_come_from_one_place() -> None:
    for trigger in Trigger:
        schema = json.loads((SCHEMAS / f"{trigger}_changed.json").read_text())
        assert (
            schema["$id"]
            == wire.data_schema(trigger)
            == f"urn:tms-events:{trigger.replace('_', '-')}-changed:1"
        )


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads((SCHEMAS / "asyncapi.json").read_text())
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    receive = [name for name, one in document["operations"].items() if one["action"] == "receive"]
    assert {"receive_class", "receive_course_assignment"} <= set(receive)
    assert set(document["servers"]) == {"rabbitmq"}


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []
