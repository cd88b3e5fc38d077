"""The commands `outbox` and `quarantine`, on a directory that no bridge holds."""

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from tests.outbox.outboxes import accept, hold, quarantine

from tms_bridge.ingest import Stamp, digest, rules_of, understand
from tms_bridge.message import Kind, Message
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.rows import State
from tms_bridge.settings.load import load
from tms_events import Trigger

from .conftest import Invoke, Run

BODY = b'{"Id": 7, "ConfirmationStatusId": 0, "Name": "\xc3\xa9\\u001b[2J"}'
BROKEN = b'{"Id": 8, "ConfirmationStatusId": \xff'


def event(config: Path, number: int) -> Message:
    rules = rules_of("contoso", load(config, os.environ).sources["contoso"])[Trigger.CLASS]
    body = BODY.replace(b"7", str(number).encode())
    stamp = Stamp(
        f"id-{number}", 1_795_000_000_000_000 + number, digest("contoso", "class", body), "00-1-2-01"
    )
    return understand(body, rules, stamp)


def undecodable(body: bytes = BROKEN) -> Message:
    return Message(
        id="q-1",
        kind=Kind.QUARANTINE,
        source="contoso",
        trigger="class",
        status="",
        routing_key="",
        entity="",
        received_at_us=4_000_000_000_000_000,
        digest=digest("contoso", "class", body),
        traceparent="00-1-2-01",
        body=body,
        reason="the body is not UTF-8 text",
    )


def keep(config: Path, work: Callable[[Journal], Awaitable[object]]) -> None:
    """Do something with the outbox of this configuration, and close it."""

    async def run() -> None:
        settings = load(config, os.environ)
        assert settings.outbox is not None
        journal = await Journal.open(settings.outbox, settings.quarantine, settings.dedup)
        try:
            await work(journal)
        finally:
            await journal.close()

    asyncio.run(run())


@pytest.fixture
def filled(config: Path) -> Path:
    """A configuration whose outbox holds two pending events, a refused, a held and an undecodable one."""

    async def fill(journal: Journal) -> None:
        receipts = [await accept(journal, event(config, number)) for number in (1, 2, 3)]
        journal.refuse(receipts[-1].seq, "the headers are too large")
        await hold(journal, event(config, 4))
        await quarantine(journal, undecodable())

    keep(config, fill)
    return config


def lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def ids(invoke: Invoke, config: Path, noun: str, state: State) -> list[object]:
    result = invoke(noun, "list", "--config", config, "--state", state, "--json")
    return [row["id"] for row in lines(result.stdout)]


def test_status_counts_what_waits(invoke: Invoke, filled: Path) -> None:
    result = invoke("outbox", "status", "--config", filled, "--json")
    answer = json.loads(result.stdout)
    assert 0 == result.exit_code
    # The undecodable body's copy for the bus waits as well.
    assert (3, 1, 1, 1) == (answer["pending"], answer["refused"], answer["held"], answer["undecodable"])
    assert answer["oldest_at"].startswith("2026-")
    assert 3 == answer["sources"]["contoso"]["pending_rows"]


def test_people_see_what_each_of_several_sources_has(invoke: Invoke, filled: Path) -> None:
    alone = invoke("outbox", "status", "--config", filled).stdout
    assert ("contoso" in alone, "Share(" in alone) == (False, False)
    other = msgspec.structs.replace(undecodable(), id="q-2", source="fabrikam", digest="f" * 64)
    keep(filled, lambda journal: quarantine(journal, other))
    *_, heading, contoso, fabrikam = invoke("outbox", "status", "--config", filled).stdout.splitlines()
    assert ["source", "pending", "refused", "held", "undecodable", "bytes"] == heading.split()
    assert ["contoso", "3", "1", "1", "1"] == contoso.split()[:-1]
    assert ["fabrikam", "1", "0", "0", "1"] == fabrikam.split()[:-1]


def test_people_read_status_and_bodies_as_text(invoke: Invoke, filled: Path) -> None:
    status = invoke("outbox", "status", "--config", filled).stdout
    assert ["pending", "3"] == status.splitlines()[0].split()
    shown = invoke("quarantine", "show", "q-1", "--config", filled).stdout
    assert "the body is not UTF-8 text" in shown
    assert shown.endswith("\n" + BROKEN.decode(errors="backslashreplace") + "\n")
    keep(filled, lambda journal: quarantine(journal, undecodable(b"[]")))
    one = json.loads(invoke("quarantine", "list", "--config", filled, "--json", "--limit", "1").stdout)
    assert "id-4" == one["id"]


def test_lists_show_each_state_without_bodies(invoke: Invoke, filled: Path) -> None:
    assert ["id-1", "id-2", "q-1"] == ids(invoke, filled, "outbox", State.PENDING)
    assert ["id-3"] == ids(invoke, filled, "outbox", State.REFUSED)
    assert ["id-4"] == ids(invoke, filled, "quarantine", State.HELD)
    assert ["q-1"] == ids(invoke, filled, "quarantine", State.UNDECODABLE)
    people = invoke("outbox", "list", "--config", filled, "--limit", "3").output
    assert "tms.class.scheduled" in people
    assert "the first 3; --limit shows more" in people


def test_show_gives_the_body_byte_for_byte(invoke: Invoke, filled: Path) -> None:
    shown = invoke("quarantine", "show", "q-1", "--config", filled, "--body")
    assert BROKEN == shown.stdout_bytes
    answer = json.loads(invoke("quarantine", "show", "q-1", "--config", filled, "--json").stdout)
    assert (BROKEN, len(BROKEN)) == (base64.b64decode(answer["body"]), answer["bytes"])
    assert "the body is not UTF-8 text" == answer["why"]


def test_what_a_sender_wrote_cannot_steer_the_terminal(invoke: Invoke, filled: Path) -> None:
    keep(filled, lambda journal: quarantine(journal, undecodable(b"\x1b[2J{")))
    result = invoke("quarantine", "list", "--config", filled)
    assert "\x1b" not in result.output


def test_a_refused_event_goes_to_the_tail_again(invoke: Invoke, filled: Path) -> None:
    assert 0 == invoke("outbox", "retry", "id-3", "--config", filled).exit_code
    assert ["id-1", "id-2", "q-1", "id-3"] == ids(invoke, filled, "outbox", State.PENDING)


def test_all_refused_events_may_be_retried_at_once(invoke: Invoke, filled: Path) -> None:
    result = invoke("outbox", "retry", "--all", "--config", filled, "--json")
    assert [{"id": "id-3", "done": True, "reason": "", "what": "retried"}] == lines(result.stdout)
    assert "1 done, 0 not\n" == result.stderr
    again = invoke("outbox", "retry", "--all", "--config", filled)
    assert (0, "", "nothing is refused\n") == (again.exit_code, again.stdout, again.stderr)


def test_an_empty_list_says_so(invoke: Invoke, filled: Path) -> None:
    invoke("outbox", "retry", "--all", "--config", filled)
    result = invoke("outbox", "list", "--config", filled, "--state", "refused")
    assert (0, "", "nothing is refused\n") == (result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (("quarantine", "release", "q-1"), "could not be understood, so there is no event to send"),
        (("quarantine", "release", "id-1"), "is pending: it is on its way already"),
        (("quarantine", "replay", "id-3"), "was refused: `outbox retry` sends it again"),
        (("outbox", "retry", "id-4"), "is held, since it came from an address that is not listed"),
        (("outbox", "retry", "\udcff\udcfe"), "that is not an id"),
    ],
)
def test_a_verb_that_does_not_fit_says_what_is_so(
    invoke: Invoke, filled: Path, call: tuple[str, ...], says: str
) -> None:
    result = invoke(*call, "--config", filled)
    assert (1, "") == (result.exit_code, result.stdout)
    assert says in result.stderr


def test_replay_of_a_held_event_releases_it_and_says_so(invoke: Invoke, filled: Path) -> None:
    result = invoke("quarantine", "replay", "id-4", "--config", filled)
    assert (0, "released id-4\n") == (result.exit_code, result.stdout)


def test_a_body_of_the_other_webhook_is_replayed_as_its_event(invoke: Invoke, config: Path) -> None:
    body = b'{"CourseAssignmentId": 12, "Status": "Completed"}'
    keep(config, lambda journal: quarantine(journal, undecodable(body)))
    args = ("quarantine", "replay", "q-1", "--as", "course_assignment", "--config", config)
    assert 0 == invoke(*args).exit_code
    exported = lines(invoke("outbox", "export", "--config", config).stdout)
    assert ["tms.course_assignment.completed"] == [
        row["routing_key"] for row in exported if row["kind"] == "event"
    ]


def test_an_id_that_is_not_there_is_exit_code_1_and_the_others_are_done(invoke: Invoke, filled: Path) -> None:
    result = invoke("outbox", "retry", "id-9", "id-3", "--config", filled)
    assert 1 == result.exit_code
    assert "not done: id-9: nothing here has the id id-9" in result.stderr
    assert "retried id-3\n" == result.stdout


@pytest.mark.parametrize("args", [(), ("id-3", "--all")])
def test_a_call_names_ids_or_all_of_them(invoke: Invoke, filled: Path, args: tuple[str, ...]) -> None:
    assert 2 == invoke("outbox", "retry", *args, "--config", filled).exit_code


def test_nothing_is_dropped_without_yes(invoke: Invoke, filled: Path) -> None:
    assert 2 == invoke("outbox", "drop", "id-1", "--config", filled).exit_code
    assert 2 == invoke("quarantine", "drop", "q-1", "--config", filled).exit_code
    assert ["id-1", "id-2", "q-1"] == ids(invoke, filled, "outbox", State.PENDING)


def test_a_drop_is_logged_with_what_is_gone(invoke: Invoke, filled: Path) -> None:
    result = invoke("outbox", "drop", "id-1", "id-3", "--yes", "--config", filled)
    assert 0 == result.exit_code
    assert f"dropped pending id-1 of contoso, class 1, digest {event(filled, 1).digest}" in result.stderr
    assert [] == ids(invoke, filled, "outbox", State.REFUSED)
    assert 0 == invoke("quarantine", "drop", "q-1", "id-4", "--yes", "--config", filled).exit_code
    assert [] == ids(invoke, filled, "quarantine", State.HELD)


def test_a_held_event_is_released(invoke: Invoke, filled: Path) -> None:
    assert 0 == invoke("quarantine", "release", "--all", "--config", filled).exit_code
    assert "id-4" in ids(invoke, filled, "outbox", State.PENDING)


def test_a_body_that_is_still_undecodable_stays_and_is_exit_code_1(invoke: Invoke, filled: Path) -> None:
    result = invoke("quarantine", "replay", "q-1", "--config", filled)
    assert 1 == result.exit_code
    assert "not done: q-1: " in result.stderr
    assert ["q-1"] == ids(invoke, filled, "quarantine", State.UNDECODABLE)


def test_a_body_is_replayed_once_the_configuration_tells_where_its_fields_lie(
    invoke: Invoke, config: Path
) -> None:
    body = b'{"Key": {"Number": 12}, "ConfirmationStatusId": 0}'
    keep(config, lambda journal: quarantine(journal, undecodable(body)))
    assert 1 == invoke("quarantine", "replay", "--all", "--config", config).exit_code
    pointers = '[sources.contoso.fields.class]\nid = "/Key/Number"\nstatus = "/ConfirmationStatusId"\n'
    config.write_text(config.read_text() + pointers)
    assert 0 == invoke("quarantine", "replay", "--all", "--config", config).exit_code
    exported = lines(invoke("outbox", "export", "--config", config).stdout)
    assert [("q-1", True, "tms.class.scheduled")] == [
        (row["id"], row["replayed"], row["routing_key"]) for row in exported if row["kind"] == "event"
    ]


def test_a_body_whose_source_is_gone_stays(invoke: Invoke, filled: Path) -> None:
    filled.write_text(filled.read_text().replace("sources.contoso", "sources.fabrikam"))
    result = invoke("quarantine", "replay", "q-1", "--config", filled)
    assert 1 == result.exit_code
    assert 'its source "contoso" is not configured any more' in result.stderr


def test_export_and_import_lose_nothing(invoke: Invoke, filled: Path, tmp_path: Path) -> None:
    exported = tmp_path / "events.jsonl"
    exported.touch(0o644)
    assert 0 == invoke("outbox", "export", exported, "--config", filled).exit_code
    assert 0o600 == exported.stat().st_mode & 0o777
    other = tmp_path / "other.toml"
    other.write_text(filled.read_text().replace(f"{tmp_path}/outbox", f"{tmp_path}/other"))
    keep(other, lambda journal: accept(journal, event(filled, 1)))
    result = invoke("outbox", "import", exported, "--config", other, "--json")
    assert {"imported": 3, "already_here": 1} == json.loads(result.stdout)
    again = lines(invoke("outbox", "export", "--config", other).stdout)
    before = {row["id"]: row for row in lines(exported.read_text())}
    for row in again:
        kept = before[str(row["id"])]
        for name in ("id", "received_at_us", "body", "digest", "state", "why", "routing_key", "traceparent"):
            assert kept[name] == row[name], name


@pytest.mark.parametrize("content", ["{}\n", "no JSON\n", '{"state": "held"}\n'])
def test_what_is_no_export_is_exit_code_2(invoke: Invoke, filled: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text("\n" + content)
    result = invoke("outbox", "import", path, "--config", filled)
    assert 2 == result.exit_code
    assert "line 2 is not a line of an export" in result.stderr


def test_quarantine_is_exported_too(invoke: Invoke, filled: Path) -> None:
    rows = lines(invoke("quarantine", "export", "--config", filled).stdout)
    assert {"q-1", "id-4"} == {row["id"] for row in rows}
    assert BROKEN in {base64.b64decode(str(row["body"])) for row in rows}


def test_a_directory_that_another_process_holds_is_refused_unless_its_admin_api_answers(
    run: Run, config: Path
) -> None:
    async def look(_: Journal) -> None:
        done = run("outbox", "status", "--config", config)
        assert (1, "") == (done.returncode, done.stdout)
        assert "is held by another process, and no bridge answers at http://127.0.0.1:" in done.stderr

    keep(config, look)


def test_an_outbox_that_was_never_made_is_not_made_by_looking(
    invoke: Invoke, config: Path, tmp_path: Path
) -> None:
    result = invoke("outbox", "status", "--config", config)
    assert 1 == result.exit_code
    assert "no outbox" in result.stderr
    assert not (tmp_path / "outbox").exists()


def test_a_configuration_without_an_outbox_keeps_nothing_here(
    invoke: Invoke, config: Path, tmp_path: Path
) -> None:
    config.write_text(config.read_text().replace(f'[outbox]\ndir = "{tmp_path}/outbox"\n', ""))
    result = invoke("quarantine", "list", "--config", config)
    assert 2 == result.exit_code
    assert "tms.quarantine" in result.stderr
