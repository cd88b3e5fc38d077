import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest

from .conftest import Invoke

EVENT = {
    "trigger": "class",
    "id": "0190a3f4-0000-7000-8000-000000000000",
    "source": "contoso",
    "status": "scheduled",
    "raw_status": "0",
    "status_from": "payload",
    "received_at": "2026-03-19T15:17:55Z",
    "class": {"id": 7},
    "payload": {"Id": 7},
}


@pytest.fixture
def exported(invoke: Invoke, tmp_path: Path) -> dict[str, dict[str, object]]:
    result = invoke("schema", "export", tmp_path / "new" / "schemas", "--json")
    assert 0 == result.exit_code
    return {
        Path(path).name: json.loads(Path(path).read_bytes()) for path in json.loads(result.stdout)["written"]
    }


def test_both_schemas_and_the_asyncapi_document_are_written(exported: dict[str, dict[str, object]]) -> None:
    assert {"course_assignment_changed.json", "class_changed.json", "asyncapi.json"} == set(exported)


def test_a_schema_accepts_an_event_and_refuses_another(exported: dict[str, dict[str, object]]) -> None:
    validator = jsonschema.Draft202012Validator(exported["class_changed.json"])
    assert [] == list(validator.iter_errors(EVENT))
    assert ["'seven' is not of type 'integer'"] == [
        error.message for error in validator.iter_errors(EVENT | {"class": {"id": "seven"}})
    ]


def test_each_member_is_described_in_the_words_of_its_struct(exported: dict[str, dict[str, object]]) -> None:
    definitions = exported["class_changed.json"]["$defs"]
    assert isinstance(definitions, dict)
    members = definitions["ClassChanged"]["properties"]
    assert [] == [name for name in members if name != "trigger" and not members[name].get("description")]
    assert "TMS said that the status of a class changed." == definitions["ClassChanged"]["description"]


def test_every_reference_of_the_asyncapi_document_leads_somewhere(
    exported: dict[str, dict[str, object]],
) -> None:
    document = exported["asyncapi.json"]
    for reference in references(document):
        found: object = document
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(found, dict)
            found = found[part]
    assert {"course_assignment", "class", "unroutable", "quarantine"} == set(document["channels"])  # type: ignore[call-overload]


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


def test_people_are_told_which_files_were_written(invoke: Invoke, tmp_path: Path) -> None:
    names = [Path(line).name for line in invoke("schema", "export", tmp_path).stdout.splitlines()]
    assert ["course_assignment_changed.json", "class_changed.json", "asyncapi.json"] == names
