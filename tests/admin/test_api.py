import json

import pytest
from tests.admin.running import Client, Desk, Serve, body, call, event
from tests.outbox.outboxes import Carrying, accept, hold, quarantine
from tests.waiting import patience, until

from tms_bridge.admin.context import WATCHERS
from tms_bridge.ingest import digest
from tms_bridge.outbox.rows import State


async def ids(client: Client, path: str) -> list[str]:
    async with client.get(path) as answer:
        return [row["id"] for row in (await answer.json())["rows"]]


async def ask(
    client: Client, method: str, path: str, data: bytes | None = None
) -> tuple[int, dict[str, object]]:
    async with client.request(method, path, data=data) as answer:
        return answer.status, json.loads(await answer.text())


async def test_the_status_shows_broker_outbox_rates_and_version(desk: Desk, client: Client) -> None:
    await accept(desk.journal, event(1))
    _, status = await ask(client, "GET", "/api/v1/status")

    assert status["broker"] == {"state": "down", "outstanding": 0, "topology_errors": [], "error": ""}
    assert (status["version"], status["ready"], status["durable"]) == ("0.1.0", True, "outbox")
    assert isinstance(status["outbox"], dict)
    assert (status["outbox"]["events"], status["outbox"]["unavailable"]) == (1, "")
    assert status["rates"] == {"taken_per_s": 0.0, "delivered_per_s": 0.0}
    assert {"contoso": 2, "fabrikam": 0} == status["in_flight"]
    assert ["contoso"] == list(status["outbox"]["sources"])


async def test_recent_events_are_listed_newest_first(desk: Desk, client: Client) -> None:
    for at in range(5):
        desk.calls.note(call(1.7e9 + at, id=f"id-{at}"))
    _, found = await ask(client, "GET", "/api/v1/events?limit=2")

    assert isinstance(found["events"], list)
    assert [seen["id"] for seen in found["events"]] == ["id-4", "id-3"]


async def test_events_are_streamed_as_they_come(desk: Desk, client: Client) -> None:
    async with client.get("/api/v1/events/stream") as stream, patience():
        desk.calls.note(call(1.7e9, id="id-1"))
        desk.calls.note(call(1.7e9, id="", outcome="unauthorized", http_status=401))
        text = (await stream.content.readuntil(b"\n\n")).decode().splitlines()

    assert stream.headers["Content-Type"] == "text/event-stream"
    assert text[:2] == ["id: 1", "event: webhook"]
    assert json.loads(text[2].removeprefix("data: "))["routing_key"] == "tms.class.completed"


async def test_only_so_many_may_watch(client: Client) -> None:
    streams = [await client.get("/api/v1/events/stream") for _ in range(WATCHERS)]
    status, _ = await ask(client, "GET", "/api/v1/events/stream")
    for stream in streams:
        stream.close()

    assert status == 503


async def test_who_watches_no_more_makes_room(client: Client) -> None:
    for stream in [await client.get("/api/v1/events/stream") for _ in range(WATCHERS)]:
        stream.close()
    status = 503
    async with patience():
        while status == 503:
            async with client.get("/api/v1/events/stream") as stream:
                status = stream.status
    assert status == 200


async def test_waiting_events_are_paged(desk: Desk, client: Client) -> None:
    known = [(await accept(desk.journal, event(entity))).id for entity in range(3)]

    assert await ids(client, "/api/v1/outbox?limit=2") == known[:2]
    assert await ids(client, "/api/v1/outbox?limit=2&after=2&state=pending") == known[2:]


async def test_an_event_is_shown_with_its_body(desk: Desk, client: Client) -> None:
    receipt = await accept(desk.journal, event(7))
    status, row = await ask(client, "GET", f"/api/v1/outbox/{receipt.id}")

    assert (status, row["state"], row["entity"], row["body"]) == (200, "pending", "7", "e30=")


async def test_a_pending_event_is_not_retried_but_a_refused_one_is(desk: Desk, client: Client) -> None:
    receipt = await accept(desk.journal, event(7))
    pending, _ = await ask(client, "POST", f"/api/v1/outbox/{receipt.id}/retry")
    desk.journal.refuse(receipt.seq, "odd")
    await until(lambda: desk.journal.stats().refused == 1)
    refused_now = await ids(client, "/api/v1/outbox?state=refused")
    retried, done = await ask(client, "POST", f"/api/v1/outbox/{receipt.id}/retry")

    assert (pending, refused_now, retried) == (409, [receipt.id], 200)
    assert (done["id"], done["done"]) == (receipt.id, "retried")


async def test_a_drop_is_final_and_logged(desk: Desk, client: Client) -> None:
    receipt = await accept(desk.journal, event(7))
    status, _ = await ask(client, "DELETE", f"/api/v1/outbox/{receipt.id}")
    again, _ = await ask(client, "DELETE", f"/api/v1/outbox/{receipt.id}")
    line, line_again = desk.lines.of("audit")
    said = [line[name] for name in ("deed", "on", "id", "token", "peer", "outcome", "state", "digest")]

    assert (status, await ids(client, "/api/v1/outbox"), again) == (200, [], 404)
    assert said == ["drop", "outbox", receipt.id, "none", "127.0.0.1", "done", "pending", event(7).digest]
    assert (line_again["id"], line_again["outcome"]) == (receipt.id, "not_found")
    assert line["request_id"] != line_again["request_id"]


async def test_an_event_in_flight_is_not_dropped(desk: Desk, client: Client) -> None:
    receipt = await accept(desk.journal, event(7))
    desk.journal.operators.carrier = Carrying(receipt.seq)

    assert (await ask(client, "DELETE", f"/api/v1/outbox/{receipt.id}"))[0] == 409


async def test_a_body_that_can_be_read_now_is_replayed(desk: Desk, client: Client) -> None:
    kept = await quarantine(desk.journal, body(7, b'{"Id": 7, "ConfirmationStatusId": 7}'))
    status, _ = await ask(client, "POST", f"/api/v1/quarantine/{kept.id}/replay")
    async with client.get("/api/v1/outbox") as answer:
        *copy, row = (await answer.json())["rows"]

    assert [one["kind"] for one in copy] == ["quarantine"]
    assert (status, await ids(client, "/api/v1/quarantine")) == (200, [])
    assert (row["routing_key"], row["replayed"]) == ("tms.class.completed", True)


async def test_a_body_that_is_still_undecodable_stays(desk: Desk, client: Client) -> None:
    kept = await quarantine(desk.journal, body(7, b"nonsense"))
    status, _ = await ask(client, "POST", f"/api/v1/quarantine/{kept.id}/replay")

    assert (status, await ids(client, "/api/v1/quarantine")) == (422, [kept.id])


@pytest.mark.parametrize("deed", ["release", "replay"])
async def test_a_held_event_is_released(desk: Desk, client: Client, deed: str) -> None:
    receipt = await hold(desk.journal, event(7))
    held = await ids(client, "/api/v1/quarantine?state=held")
    status, _ = await ask(client, "POST", f"/api/v1/quarantine/{receipt.id}/{deed}")

    assert (held, status) == ([receipt.id], 200)
    assert await ids(client, "/api/v1/outbox") == [receipt.id]


async def test_a_quarantined_body_is_shown_and_dropped(desk: Desk, client: Client) -> None:
    kept = await quarantine(desk.journal, body(7, b"nonsense"))
    _, row = await ask(client, "GET", f"/api/v1/quarantine/{kept.id}")
    status, _ = await ask(client, "DELETE", f"/api/v1/quarantine/{kept.id}")

    assert (row["body"], row["why"], status) == ("bm9uc2Vuc2U=", "odd", 200)
    assert await ids(client, "/api/v1/quarantine") == []


async def test_an_export_can_be_imported(desk: Desk, client: Client) -> None:
    await accept(desk.journal, event(1))
    async with client.get("/api/v1/outbox/export") as answer:
        lines = await answer.read()
    _, again = await ask(client, "POST", "/api/v1/outbox", lines)
    await ask(client, "DELETE", f"/api/v1/outbox/{event(1).id}")
    _, anew = await ask(client, "POST", "/api/v1/outbox", lines.rstrip())

    assert answer.content_type == "application/x-ndjson"
    assert again == {"imported": 0, "already_here": 1}
    assert anew == {"imported": 1, "already_here": 0}
    assert [line["imported"] for line in desk.lines.of("audit") if line["deed"] == "import"] == [0, 1]


@pytest.mark.parametrize("noun", ["outbox", "quarantine"])
async def test_a_list_holds_no_body_and_reading_one_is_in_the_audit_log(
    desk: Desk, client: Client, noun: str
) -> None:
    await quarantine(desk.journal, body(7, b"nonsense"))
    _, listed = await ask(client, "GET", f"/api/v1/{noun}")
    read_by_listing = desk.lines.of("audit")
    await ask(client, "GET", f"/api/v1/{noun}/{body(7, b'').id}")
    async with client.get(f"/api/v1/{noun}/export") as answer:
        exported = await answer.read()

    assert isinstance(listed["rows"], list)
    assert [(row["bytes"], "body" in row) for row in listed["rows"]] == [(8, False)]
    assert (read_by_listing, b"bm9uc2Vuc2U=" in exported) == ([], True)
    assert [(line["deed"], line["on"]) for line in desk.lines.of("audit")] == [
        ("show", noun),
        ("export", noun),
    ]
    assert b"nonsense" not in desk.lines.raw
    assert b"bm9uc2Vuc2U=" not in desk.lines.raw


async def test_a_body_is_read_as_the_other_triggers_where_the_urls_were_swapped(
    desk: Desk, client: Client
) -> None:
    raw = b'{"CourseAssignmentId": 7, "Status": "Completed"}'
    kept = await quarantine(desk.journal, body(7, raw))
    wrong, _ = await ask(client, "POST", f"/api/v1/quarantine/{kept.id}/replay?as=klass")
    status, done = await ask(client, "POST", f"/api/v1/quarantine/{kept.id}/replay?as=course_assignment")
    *_, row = await desk.journal.operators.rows([State.PENDING])

    assert (wrong, status, done["done"]) == (400, 200, "replayed")
    assert (row.id, row.routing_key) == (kept.id, "tms.course_assignment.completed")
    assert row.digest == digest("contoso", "course_assignment", raw)


async def test_a_verb_that_does_not_fit_the_row_says_which_does(desk: Desk, client: Client) -> None:
    kept = await quarantine(desk.journal, body(7, b"nonsense"))
    held = await hold(desk.journal, event(8))
    released, problem = await ask(client, "POST", f"/api/v1/quarantine/{kept.id}/release")
    as_other, _ = await ask(client, "POST", f"/api/v1/quarantine/{held.id}/replay?as=course_assignment")
    _, replayed = await ask(client, "POST", f"/api/v1/quarantine/{held.id}/replay")

    assert (released, "`quarantine replay` reads it once more" in str(problem["detail"])) == (409, True)
    assert (as_other, replayed["done"]) == (409, "released")


async def test_a_list_of_two_states_is_in_order_and_leaves_nothing_out(desk: Desk, client: Client) -> None:
    receipts = [await accept(desk.journal, event(number)) for number in range(6)]
    for receipt in receipts[::2]:
        desk.journal.refuse(receipt.seq, "odd")
    await until(lambda: desk.journal.stats().refused == 3)
    found: list[str] = []
    after = 0
    while rows := (await ask(client, "GET", f"/api/v1/outbox?limit=2&after={after}"))[1]["rows"]:
        assert isinstance(rows, list)
        found += [row["id"] for row in rows]
        after = rows[-1]["seq"]

    assert found == [receipt.id for receipt in receipts]


async def test_a_line_of_no_export_is_said(client: Client) -> None:
    status, problem = await ask(client, "POST", "/api/v1/outbox", b"\n" * 1200 + b"nonsense\n")

    assert (status, problem["type"]) == (400, "urn:tms-bridge:problem:invalid-query")
    assert str(problem["detail"]).startswith("line 1201 is not a line of an export")


async def test_lines_that_are_compressed_are_refused(client: Client) -> None:
    headers = {"Content-Encoding": "gzip"}
    async with client.post("/api/v1/outbox", data=b"", headers=headers) as answer:
        assert answer.status == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/outbox/none", 404),
        ("DELETE", "/api/v1/outbox/none", 404),
        ("POST", "/api/v1/outbox/none/retry", 404),
        ("GET", "/api/v1/quarantine/none", 404),
        ("DELETE", "/api/v1/quarantine/none", 404),
        ("POST", "/api/v1/quarantine/none/replay", 404),
        ("POST", "/api/v1/quarantine/none/release", 404),
        ("GET", "/api/v1/outbox?state=held", 400),
        ("GET", "/api/v1/outbox?limit=1001", 400),
        ("GET", "/api/v1/outbox?after=-1", 400),
        ("GET", "/api/v1/events?limit=x", 400),
        ("GET", "/api/v1/events?limit=", 400),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/status", 405),
        ("GET", "/", 404),
    ],
)
async def test_what_cannot_be_is_a_problem(client: Client, method: str, path: str, status: int) -> None:
    async with client.request(method, path) as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert (answer.status, problem["status"]) == (status, status)
    assert problem["request_id"] == answer.headers["X-Request-Id"]


async def test_without_a_disk_there_are_no_rows_and_it_says_so(desk: Desk, serve: Serve) -> None:
    desk.with_records = False
    client = await serve()
    status, problem = await ask(client, "GET", "/api/v1/outbox")

    assert (status, "without an outbox on disk" in str(problem["detail"])) == (404, True)


async def test_a_defect_is_500_and_logged(
    desk: Desk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(desk.calls, "select", fail)
    status, problem = await ask(client, "GET", "/api/v1/events")

    assert (status, "hunter2" in json.dumps(problem)) == (500, False)
    assert len(desk.lines.of("defect")) == 1
