import json
from pathlib import Path

from .conftest import Invoke, Run

BODY = b'{"Class": {"ClassId": "7", "ConfirmationStatus": "Guaranteed To Run", "CourseId": null}}'


def test_it_shows_where_each_field_was_found_and_the_routing_key(invoke: Invoke, config: Path) -> None:
    args = ("explain", "--config", config, "--source", "contoso", "--trigger", "class", "-", "--json")
    result = invoke(*args, input=BODY)
    answer = json.loads(result.stdout)
    assert (0, True) == (result.exit_code, answer["understood"])
    assert ("tms.class.guaranteed_to_run", "7") == (answer["routing_key"], answer["entity"])
    pointers = {field["field"]: field["pointer"] for field in answer["fields"]}
    assert ("/Class/ClassId", "/Class/ConfirmationStatus") == (pointers["id"], pointers["status"])


def test_people_read_the_same_in_a_table(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_bytes(BODY)
    result = invoke("explain", "--config", config, "--source", "contoso", "--trigger", "class", body)
    assert "/Class/ConfirmationStatus" in result.stdout
    assert "tms.class.guaranteed_to_run" in result.stdout


def test_what_would_be_quarantined_is_exit_code_1_and_says_why(run: Run, config: Path) -> None:
    args = ("explain", "--config", config, "--source", "contoso", "--trigger", "class", "-")
    done = run(*args, input='{"Name": "no id"}')
    assert (1, "") == (done.returncode, done.stderr)
    assert "quarantined: " in done.stdout
    answer = json.loads(run(*args, "--json", input="{").stdout)
    assert False is answer["understood"]
    assert answer["reason"]


def test_a_derivation_is_shown_for_the_time_that_is_given(invoke: Invoke, config: Path) -> None:
    args = (
        "explain",
        "--config",
        config,
        "--source",
        "contoso",
        "--trigger",
        "course_assignment",
        "-",
        "--json",
    )
    body = b'{"Id": 1, "Start": 1333267200, "Expire": 1400000000}'
    for moment, status in (("2013-01-01", "started"), ("2020-01-01T00:00:00Z", "expired")):
        answer = json.loads(invoke(*args, "--received-at", moment, input=body).stdout)
        assert (status, "unknown") == (answer["derived_status"], answer["status"])


def test_a_wrong_call_is_exit_code_2(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    args = ("explain", "--config", config, "--trigger", "class", "--source")
    assert 2 == invoke(*args, "contoso", tmp_path / "missing.json").exit_code
    assert 2 == invoke(*args, "fabrikam", "-", input=BODY).exit_code
    assert 2 == invoke(*args, "contoso", "--received-at", "yesterday", "-", input=BODY).exit_code


def test_people_see_what_was_not_read_and_where_everything_lies_in_a_body_that_is_no_event(
    invoke: Invoke, config: Path
) -> None:
    args = ("explain", "--config", config, "--source", "contoso", "--trigger", "class", "-")
    event = invoke(*args, input=b'{"Id": 7, "Name": {}, "Start": "2026-03-01"}').stdout
    assert ("not read", "name") == tuple(_row(event, "not read"))
    assert ("assumed", "start") == tuple(_row(event, "assumed"))
    assert ("days", "start") == tuple(_row(event, "days"))
    stranger = invoke(*args, input=b'{"Change": {"Key": 7, "State": [3]}}').stdout
    for path in ("/Change/Key", "/Change/State", "/Change/State/0"):
        assert path in stranger


def _row(text: str, start: str) -> list[str]:
    (line,) = [line.strip() for line in text.splitlines() if line.strip().startswith(start)]
    return [start, line.removeprefix(start).strip()]
