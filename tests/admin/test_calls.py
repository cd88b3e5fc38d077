"""The list of calls: what narrows it, what is folded, and where a stream goes on."""

import json

import pytest
from tests.admin.running import Client, Desk, Serve, call
from tests.waiting import patience

from tms_bridge.calls import TEST
from tms_bridge.http.answer import OUTCOMES
from tms_bridge.settings.model import Admin, AdminToken


async def statuses(client: Client, query: str = "", **headers: str) -> list[int]:
    async with client.get(f"/api/v1/calls{query}", headers=headers) as answer:
        return [row["http_status"] for row in (await answer.json())["calls"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [401, 202]),
        ("?outcome=refused", [401]),
        ("?source=fabrikam", [401]),
        ("?address=203.0.113.0/24", [202]),
        ("?id=e1", [202]),
    ],
)
async def test_a_list_is_narrowed(desk: Desk, client: Client, query: str, found: list[int]) -> None:
    refused = {"id": "", "outcome": "unauthorized", "http_status": 401, "source": "fabrikam"}
    desk.calls.note(call(1.7e9, id="e1"))
    desk.calls.note(call(1.7e9 + 1, address="192.0.2.1", **refused))
    assert found == await statuses(client, query)


async def test_calls_refused_alike_are_one_with_a_count(desk: Desk, client: Client) -> None:
    for at in range(3):
        desk.calls.note(call(1.7e9 + at, id="", outcome="unauthorized", http_status=401))
    async with client.get("/api/v1/calls") as answer:
        assert [3] == [row["count"] for row in (await answer.json())["calls"]]


@pytest.mark.parametrize("query", ["address=nowhere", "outcome=refusd"])
async def test_what_nothing_can_be_narrowed_to_is_refused(client: Client, query: str) -> None:
    async with client.get(f"/api/v1/calls?{query}") as answer:
        assert 400 == answer.status
        assert query.partition("=")[0] in (await answer.json())["detail"].lower()


async def test_a_list_is_narrowed_to_any_outcome_that_a_call_can_have(client: Client) -> None:
    for outcome in (*OUTCOMES, TEST):
        assert [] == await statuses(client, f"?outcome={outcome}")


async def test_a_viewer_gets_the_calls_of_a_source_alone(desk: Desk, serve: Serve) -> None:
    desk.calls.note(call(1.7e9, id="e1"))
    desk.calls.note(call(1.7e9 + 1, id="e2", source="fabrikam", http_status=200))
    viewer = AdminToken(name="v", token="a-viewer-of-contoso", sources=("contoso",))
    client = await serve(Admin(token="an-operator-of-all", tokens=(viewer,)))
    assert [202] == await statuses(client, Authorization="Bearer a-viewer-of-contoso")


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(desk: Desk, client: Client) -> None:
    rows = [desk.calls.note(call(1.7e9 + at, id=f"e{at}")) for at in range(3)]
    seen = {"Last-Event-ID": str(rows[1].changed)}
    async with client.get("/api/v1/calls/stream", headers=seen) as stream, patience():
        text = (await stream.content.readuntil(b"\n\n")).decode()
    assert "e2" == json.loads(text.partition("data: ")[2])["id"]
