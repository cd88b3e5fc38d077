import pytest
from tests.admin.running import Client, Desk

from tms_bridge.http.health import Health


@pytest.mark.parametrize(
    ("path", "started", "stopping", "reason", "status", "body"),
    [
        ("/livez", False, True, "full", 200, {"status": "live"}),
        ("/startupz", False, False, None, 503, {"status": "starting"}),
        ("/startupz", True, True, "full", 200, {"status": "started"}),
        ("/readyz", True, False, None, 200, {"status": "ready"}),
        ("/readyz", False, False, None, 503, {"status": "not ready", "reasons": ["starting"]}),
        ("/readyz", True, True, "full", 503, {"status": "not ready", "reasons": ["shutting down", "full"]}),
    ],
)
async def test_a_probe_says_how_it_is_and_why(
    desk: Desk,
    path: str,
    *,
    started: bool,
    stopping: bool,
    reason: str | None,
    status: int,
    body: dict[str, object],
) -> None:
    desk.health = Health([lambda: reason])
    desk.health.started, desk.health.stopping = started, stopping
    async with desk.client() as client, client.get(path) as answer:
        assert (answer.status, await answer.json()) == (status, body)


async def test_metrics_are_text_for_prometheus(client: Client) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "tms_bridge_broker_connected" in await answer.text()


async def test_metrics_may_be_open_metrics(client: Client) -> None:
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as answer:
        assert (await answer.text()).endswith("# EOF\n")
