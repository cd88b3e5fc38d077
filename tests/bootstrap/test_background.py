"""A defect in what runs in the background ends neither that nor the bridge."""

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.bootstrap.running import configure
from tests.waiting import patience, until

from tms_bridge.bootstrap import background, reload
from tms_bridge.bootstrap.observed import ObservationKeeper
from tms_bridge.bootstrap.reload import Reloader
from tms_bridge.bootstrap.service import Bridge
from tms_bridge.bootstrap.standing import Onlooker
from tms_bridge.bootstrap.systemd import ServiceManager
from tms_bridge.broker import Supervisor
from tms_bridge.log import Log
from tms_bridge.outbox.journal import Journal
from tms_bridge.relay import Relay
from tms_bridge.settings.load import read
from tms_bridge.web import Webhooks

TASKS = [
    ("relay", Relay, "run"),
    ("topology", Supervisor, "keep_topology"),
    ("outbox watch", Journal, "until_broken"),
    ("reloader", Reloader, "run"),
    ("onlooker", Onlooker, "run"),
    ("observations", ObservationKeeper, "run"),
    ("watchdog", ServiceManager, "keep_alive"),
]


@asynccontextmanager
async def serving(config: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Bridge, io.BytesIO]]:
    """Run a bridge in this process, and what it logs; it ends as it was asked to."""
    monkeypatch.setenv("TMS_PASSWORD", "webhookpassword")
    monkeypatch.setattr(background, "PAUSE_S", 0.01)
    loaded, said = read(config, os.environ), io.BytesIO()
    bridge = Bridge(loaded, lambda: read(config, os.environ), Log(loaded.settings.log, said))
    running = asyncio.create_task(bridge.run())
    try:
        await until(lambda: b'"ready"' in said.getvalue() or running.done())
        yield bridge, said
        assert not running.done()
        bridge._signals.ask_to_stop()
        assert 0 == await running
    finally:
        running.cancel()
        await asyncio.wait([running])


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
    """Let the first call meet an error that nobody foresaw."""
    original: Callable[..., object] = getattr(owner, method)
    faults = [ZeroDivisionError("nobody foresaw this")]

    def failing(*args: object) -> object:
        if faults:
            raise faults.pop()
        return original(*args)

    monkeypatch.setattr(owner, method, failing)


def faults_of(bridge: Bridge, task: str) -> float | None:
    return bridge._metrics.registry.get_sample_value("tms_bridge_task_faults_total", {"task": task})


@pytest.mark.parametrize(("task", "owner", "method"), TASKS, ids=[task for task, _, _ in TASKS])
async def test_a_defect_in_a_background_task_is_counted_and_the_task_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, owner: type, method: str
) -> None:
    fail_once(monkeypatch, owner, method)
    async with serving(configure(tmp_path), monkeypatch) as (bridge, said):
        await until(lambda: faults_of(bridge, task) == 1)
    assert said.getvalue().count(b"ZeroDivisionError: nobody foresaw this") == 1


async def test_every_background_task_is_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(configure(tmp_path), monkeypatch) as (bridge, _):
        shown = {
            sample.labels["task"]
            for metric in bridge._metrics.task_faults.collect()
            for sample in metric.samples
        }
    assert {task for task, _, _ in TASKS} == shown
    for task in shown:
        assert f"| {task} " in str(background.__doc__)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(reload, "_marks"), (Webhooks, "take_over"), (Supervisor, "take_over")],
    ids=["files", "sources", "brokers"],
)
async def test_whatever_goes_wrong_in_a_reload_is_a_refused_reload_and_nothing_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    config = configure(tmp_path)
    async with serving(config, monkeypatch) as (bridge, said):
        sources = bridge._webhooks._routes.sources
        config.write_text(config.read_text().replace("[sources.contoso]", "[sources.fabrikam]", 1))
        config.write_text(config.read_text().replace("[[sources.contoso.", "[[sources.fabrikam."))
        with monkeypatch.context() as failing:
            fail_once(failing, owner, name)  # type: ignore[arg-type]  # a module has attributes too
            bridge._signals.reload.set()
            await until(lambda: b"configuration refused" in said.getvalue())
        assert sorted(sources) == sorted(bridge._webhooks._routes.sources)
        assert "ZeroDivisionError: nobody foresaw this" == bridge._reloads.reason
        assert 0 == bridge._metrics.registry.get_sample_value("tms_bridge_config_reload_success")
        bridge._signals.reload.set()
        await until(lambda: b"configuration reloaded" in said.getvalue())
        assert ["fabrikam"] == sorted(bridge._webhooks._routes.sources)


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it comes together with the broker's answer: a bridge that connected went on without an end."""
    monkeypatch.setattr(background, "AGAIN_S", 0.01)

    async def connect() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    tasks = [asyncio.create_task(connect()) for _ in range(2)]
    await asyncio.sleep(0)
    async with patience():
        await background.end(tasks)

    assert [True, True] == [task.cancelled() for task in tasks]
