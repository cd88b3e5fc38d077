import asyncio

import pytest
from tests.admin.running import Desk, Serve, call

from tms_bridge.admin import Guard
from tms_bridge.auth.throttle import ALLOWANCE
from tms_bridge.http.strangers import LINES_PER_ADDRESS
from tms_bridge.ingest import Observation
from tms_bridge.settings.model import Admin, AdminToken

TOKEN = "let-me-in"
EVERYWHERE = "0.0.0.0:0"


@pytest.mark.parametrize(
    ("admin", "headers", "status"),
    [
        (Admin(token=TOKEN), {"Authorization": f"Bearer {TOKEN}"}, 200),
        (Admin(token=TOKEN), {"Authorization": f"bearer {TOKEN}"}, 200),
        (Admin(token=TOKEN), {}, 401),
        (Admin(token=TOKEN), {"Authorization": "Bearer let-me-im"}, 401),
        (Admin(token=TOKEN), {"Authorization": f"Basic {TOKEN}"}, 401),
        (Admin(token=TOKEN), {"Authorization": "Bearer \udcff"}, 401),
        (Admin(token=TOKEN, listen=EVERYWHERE), {"Authorization": f"Bearer {TOKEN}"}, 200),
        (Admin(), {}, 200),
        (Admin(), {"Host": "localhost:8081", "Origin": "http://localhost:8081"}, 200),
        (Admin(), {"Host": "[::1]:8081"}, 200),
        (Admin(), {"Host": "rebound.example"}, 403),
        (Admin(), {"Origin": "https://evil.example"}, 403),
        (Admin(), {"Host": "[::zz"}, 403),
        (Admin(), {"Host": "localhost", "Origin": "http://[::zz"}, 403),
        (Admin(listen=EVERYWHERE), {}, 403),
        (Admin(listen=("127.0.0.1:0", ":0")), {}, 403),
    ],
)
async def test_the_api_is_for_those_who_may(
    serve: Serve, admin: Admin, headers: dict[str, str], status: int
) -> None:
    client = await serve(admin)
    async with client.get("/api/v1/status", headers=headers) as answer:
        assert answer.status == status
        assert (answer.headers.get("WWW-Authenticate") is not None) == (status == 401)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/metrics"])
async def test_probes_and_metrics_need_no_token(serve: Serve, path: str) -> None:
    client = await serve(Admin(token=TOKEN, listen=EVERYWHERE))
    async with client.get(path) as answer:
        assert answer.status == 200


async def test_the_description_needs_the_token_too(serve: Serve) -> None:
    client = await serve(Admin(token=TOKEN))
    async with client.get("/api/v1/openapi.json") as answer:
        assert answer.status == 401


NAMED = Admin(
    token=TOKEN,
    tokens=(
        AdminToken(name="looker", token="may-look"),
        AdminToken(name="contoso-admin", token="may-look-at-contoso", sources=("contoso",)),
        AdminToken(name="night", token="may-do", role="operator"),
    ),
)


@pytest.mark.parametrize(
    ("token", "method", "path", "status"),
    [
        ("may-look", "GET", "/api/v1/status", 200),
        ("may-look", "GET", "/api/v1/quarantine", 200),
        ("may-look", "GET", "/api/v1/quarantine/nothing", 403),
        ("may-look", "DELETE", "/api/v1/outbox/nothing", 403),
        ("may-look", "GET", "/api/v1/outbox/export", 403),
        ("may-look-at-contoso", "GET", "/api/v1/events", 200),
        ("may-look-at-contoso", "GET", "/api/v1/status", 403),
        ("may-look-at-contoso", "GET", "/api/v1/outbox", 403),
        ("may-do", "DELETE", "/api/v1/outbox/nothing", 404),
        (TOKEN, "DELETE", "/api/v1/outbox/nothing", 404),
        ("may-look-", "GET", "/api/v1/status", 401),
    ],
)
async def test_a_role_says_what_its_holder_may_do(
    serve: Serve, token: str, method: str, path: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    client = await serve(NAMED)
    async with client.request(method, path, headers=headers) as answer:
        assert status == answer.status


async def test_the_audit_log_names_the_holder_and_tells_of_a_refusal_too(desk: Desk, serve: Serve) -> None:
    client = await serve(NAMED)
    for token in ("may-look", "may-do"):
        headers = {"Authorization": f"Bearer {token}"}
        await client.delete("/api/v1/outbox/nothing", headers=headers)
    told = [(line["token"], line["outcome"]) for line in desk.lines.of("audit")]
    assert [("looker", "forbidden"), ("night", "not_found")] == told


async def test_a_viewer_of_a_source_sees_its_events_alone(desk: Desk, serve: Serve) -> None:
    for source in ("contoso", "fabrikam"):
        desk.calls.note(call(1.0, id=f"of {source}", source=source))
    headers = {"Authorization": "Bearer may-look-at-contoso"}
    client = await serve(NAMED)
    async with client.get("/api/v1/events", headers=headers) as answer:
        assert ["of contoso"] == [seen["id"] for seen in (await answer.json())["events"]]


async def test_a_viewer_of_a_source_sees_the_members_of_its_bodies_alone(desk: Desk, serve: Serve) -> None:
    desk.seen = tuple(Observation(source, "class", 1, bodies=2) for source in ("contoso", "fabrikam"))
    headers = {"Authorization": "Bearer may-look-at-contoso"}
    client = await serve(NAMED)
    async with client.get("/api/v1/fields", headers=headers) as answer:
        assert [("contoso", 2)] == [
            (one["source"], one["bodies"]) for one in (await answer.json())["observations"]
        ]


def test_tokens_are_taken_over_live() -> None:
    guard = Guard(Admin())
    assert guard.is_open
    guard.take_over(NAMED)
    holder = guard.holder_of("may-look-at-contoso")
    assert holder is not None
    assert ("contoso-admin", "viewer", frozenset({"contoso"})) == (holder.name, holder.role, holder.sources)
    assert guard.holder_of("may-look-at") is None


async def test_whoever_guesses_tokens_is_slowed_down_logged_and_told_to_come_back_later(
    desk: Desk, serve: Serve
) -> None:
    client = await serve(NAMED)

    async def ask(token: str) -> tuple[int, str | None]:
        headers = {"Authorization": f"Bearer {token}"}
        async with client.get("/api/v1/events", headers=headers) as answer:
            return answer.status, answer.headers.get("Retry-After")

    guesses = []
    for _ in range(0, ALLOWANCE + 10, 20):  # more at once than the listener takes would give way
        guesses += await asyncio.gather(*[ask(f"wrong-{number}") for number in range(20)])
    right = await ask(TOKEN)

    assert {401, 429} == {status for status, _ in guesses}
    assert all(retry_after is not None for status, retry_after in guesses if status == 429)
    assert 200 == right[0]
    lines = desk.lines.of("admin refused")
    assert LINES_PER_ADDRESS == len(lines)
    assert ("127.0.0.1", "/api/v1/events") == (lines[0]["remote"], lines[0]["path"])
    assert b"wrong-" not in desk.lines.raw
    counted = desk.metrics.registry.get_sample_value
    wrong, throttled = (
        counted("tms_bridge_admin_refused_total", {"outcome": outcome}) or 0
        for outcome in ("unauthorized", "throttled")
    )
    assert ALLOWANCE + 10 == wrong + throttled
