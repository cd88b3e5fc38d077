import pytest
from prometheus_client import CollectorRegistry, Counter
from tests.admin.running import Client, Desk, Serve

from tms_bridge.admin.app import SCRAPES_AT_ONCE, Scrapes
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
    serve: Serve,
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
    client = await serve()
    async with client.get(path) as answer:
        assert (answer.status, await answer.json()) == (status, body)


async def test_metrics_are_text_for_prometheus(client: Client) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "tms_bridge_broker_connected" in await answer.text()


async def test_metrics_may_be_open_metrics(client: Client) -> None:
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as answer:
        assert (await answer.text()).endswith("# EOF\n")


def test_a_flood_of_scrapes_gets_a_page_that_was_written_before_and_a_patient_scraper_a_new_one() -> None:
    registry, moments = CollectorRegistry(), [100.0]
    scraped = Counter("scraped", "Pages asked for.", registry=registry)
    scrapes = Scrapes(registry, lambda: moments[-1])

    def scrape(accept: str = "") -> bytes:
        scraped.inc()
        return scrapes.page(accept)[1].splitlines()[2]

    pages = [scrape() for _ in range(SCRAPES_AT_ONCE + 10)]
    other = scrape("application/openmetrics-text; version=1.0.0")
    moments.append(101.0)

    assert [b"scraped_total %d.0" % min(page, SCRAPES_AT_ONCE) for page in range(1, len(pages) + 1)] == pages
    assert pages[-1] == other
    assert b"scraped_total 62.0" == scrape()
