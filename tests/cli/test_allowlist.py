import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from pytest_aiohttp import AiohttpServer

from tms_bridge.auth.allowlist import CHECKED, published
from tms_bridge.bootstrap.gauges import bind_allowlist
from tms_bridge.metrics import Metrics
from tms_bridge.settings.load import load

from .conftest import Invoke, Run


def page_of(addresses: list[str]) -> str:
    return "# Webhooks\n\n```plaintext\n" + "\n".join(addresses) + "\n```\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(page_of(list(published().addresses)))
    return path


def test_a_page_that_holds_what_is_shipped_is_no_drift(invoke: Invoke, config: Path, page: Path) -> None:
    result = invoke("allowlist", "check", "--config", config, "--page", page, "--json")
    answer = json.loads(result.stdout)
    assert (0, False, {"contoso": []}) == (result.exit_code, answer["drift"], answer["not_admitted"])


def test_what_came_and_went_is_drift_and_exit_code_1(invoke: Invoke, config: Path, page: Path) -> None:
    addresses = [*published().addresses[1:], "192.0.2.7", "203.0.113.9"]
    page.write_text(page_of(addresses))
    result = invoke("allowlist", "check", "--config", config, "--page", page, "--json")
    answer = json.loads(result.stdout)
    assert 1 == result.exit_code
    assert ["192.0.2.7", "203.0.113.9"] == answer["not_shipped"]
    assert [published().addresses[0]] == answer["not_on_page"]
    assert {"contoso": ["192.0.2.7"]} == answer["not_admitted"]


def test_people_are_told_what_to_do_about_drift(invoke: Invoke, config: Path, page: Path) -> None:
    page.write_text(page_of(["192.0.2.7"]))
    result = invoke("allowlist", "check", "--config", config, "--page", page)
    assert "192.0.2.7" in result.stdout
    assert "source contoso refuses it" in result.stdout
    assert "allow_from" in result.stderr


def test_a_source_that_admits_any_address_refuses_none(invoke: Invoke, config: Path, page: Path) -> None:
    config.write_text(config.read_text().replace('"skillable-tms", "203.0.113.0/24"', '"any"'))
    assert 0 == invoke("allowlist", "check", "--config", config, "--page", page).exit_code


def test_the_shipped_list_is_checked_without_a_configuration_too(run: Run, page: Path) -> None:
    assert 0 == run("allowlist", "check", "--page", page).returncode
    assert 2 == run("allowlist", "check", "--page", page, "--config", "missing.toml").returncode


@pytest.mark.parametrize("content", [None, "", "<html><p>Moved</p></html>"])
def test_a_page_without_addresses_is_exit_code_2_since_it_proves_nothing(
    invoke: Invoke, config: Path, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "other.html"
    if content is not None:
        path.write_text(content)
    result = invoke("allowlist", "check", "--config", config, "--page", path)
    assert (2, "") == (result.exit_code, result.stdout)


async def test_a_page_may_be_read_from_the_address_that_is_given(
    run: Run, config: Path, page: Path, aiohttp_server: AiohttpServer
) -> None:
    text = page.read_text()  # noqa: ASYNC240 - before the server starts

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, status=200 if request.path == "/page" else 404)

    app = web.Application()
    app.router.add_get("/{path}", answer)
    server = await aiohttp_server(app)
    args = ("allowlist", "check", "--config", config, "--page")
    assert 0 == (await asyncio.to_thread(run, *args, server.make_url("/page"))).returncode
    missing = await asyncio.to_thread(run, *args, server.make_url("/missing"))
    assert 2 == missing.returncode
    assert "404 Not Found" in missing.stderr


@pytest.mark.parametrize("url", ["http://docs.example.com/page.md", "http://192.0.2.1/"])
def test_a_page_without_https_is_not_asked_for(invoke: Invoke, config: Path, url: str) -> None:
    result = invoke("allowlist", "check", "--config", config, "--page", url)
    assert (2, "") == (result.exit_code, result.stdout)
    assert "write https://" in result.stderr


async def test_a_page_that_never_ends_is_refused(
    run: Run, config: Path, aiohttp_server: AiohttpServer
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"203.0.113.7\n" * 10_000)
        return response

    app = web.Application()
    app.router.add_get("/page", answer)
    server = await aiohttp_server(app)
    args = ("allowlist", "check", "--config", config, "--page", server.make_url("/page"))
    done = await asyncio.to_thread(run, *args)
    assert (2, "") == (done.returncode, done.stdout)
    assert "it is longer than 8 MiB" in done.stderr


def test_the_time_of_a_check_is_kept_for_the_metric_where_nothing_has_drifted(
    invoke: Invoke, config: Path, page: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "outbox" / CHECKED
    args = ("allowlist", "check", "--config", config, "--page", page)
    assert 0 == invoke(*args).exit_code
    assert not kept.parent.exists()
    kept.parent.mkdir()
    page.write_text(page_of(["203.0.113.7"]))
    assert (1, False) == (invoke(*args).exit_code, kept.exists())
    page.write_text(page_of(list(published().addresses)))
    assert (0, True) == (invoke(*args).exit_code, kept.exists())
    settings = load(config, os.environ)
    metrics = Metrics(CollectorRegistry())
    bind_allowlist(metrics, settings.outbox)
    os.utime(kept, (1_700_000_000, 1_700_000_000))
    shown = metrics.registry.get_sample_value("tms_bridge_allowlist_checked_timestamp_seconds")
    assert 1_700_000_000 == shown
