"""The commands against a bridge that runs, in a process of its own, without its broker."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer
from tests.waiting import patience

from tms_bridge.cli.bridge.admin_api import AdminApi, NoBridge
from tms_bridge.cli.simulate import Plan
from tms_bridge.cli.simulate import run as simulate
from tms_bridge.errors import BridgeError
from tms_bridge.settings.load import load
from tms_bridge.settings.model import Admin

from .conftest import Invoke, Run

CREDENTIALS = {"X-Api-Key": "k3y", "X-Tenant": "contoso"}


class Bridge:
    """A running `tms-bridge serve`."""

    def __init__(self, config: Path, process: asyncio.subprocess.Process, log: "asyncio.Task[bytes]") -> None:
        self.config = config
        self._log = log
        self.process = process
        self.url = f"http://{load(config, os.environ).http.listen}"

    @classmethod
    async def start(cls, config: Path) -> "Bridge":
        command = (sys.executable, "-m", "tms_bridge", "serve", "--config", str(config))
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=None)
        assert process.stdout is not None
        while json.loads(await process.stdout.readline())["event"] != "ready":
            pass
        # A log that nobody reads would fill its pipe and hold the bridge up.
        return cls(config, process, asyncio.create_task(process.stdout.read()))

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code, _ = await asyncio.gather(self.process.wait(), self._log)
        return code

    async def post(self, body: bytes) -> int:
        url = f"{self.url}/webhooks/contoso/class-changed"
        async with (
            aiohttp.ClientSession(headers=CREDENTIALS) as session,
            session.post(url, data=body) as answer,
        ):
            return answer.status


@pytest.fixture
def served(config: Path, unused_tcp_port: int) -> Path:
    """A configuration that takes webhooks from this machine, and has an admin token."""
    http = f'\n[http]\nlisten = "127.0.0.1:{unused_tcp_port}"\nshutdown_delay_s = 0\n'
    text = config.read_text().replace('"skillable-tms", ', '"127.0.0.1", "skillable-tms", ')
    config.write_text(text.replace("[admin]", '[admin]\ntoken = "${TOKEN:-an-admin-token-of-tests}"') + http)
    return config


@pytest.fixture
async def bridge(served: Path) -> AsyncIterator[Bridge]:
    bridge = await Bridge.start(served)
    yield bridge
    if bridge.process.returncode is None:
        await bridge.stop()


async def test_what_simulate_sends_is_what_the_outbox_holds(bridge: Bridge, invoke: Invoke) -> None:
    plan = Plan(url=bridge.url, source="contoso", headers=CREDENTIALS, count=50)
    report = await simulate(plan)
    assert (50, 50, 0) == (report.sent, report.accepted, report.given_up)
    done = await asyncio.to_thread(invoke, "outbox", "status", "--config", bridge.config, "--json")
    assert (0, 50) == (done.exit_code, json.loads(done.stdout)["pending"])
    assert 0 == await bridge.stop()
    done = await asyncio.to_thread(invoke, "outbox", "status", "--config", bridge.config, "--json")
    assert (0, 50) == (done.exit_code, json.loads(done.stdout)["pending"])


async def test_status_says_one_sentence_then_the_numbers(bridge: Bridge, invoke: Invoke) -> None:
    assert 202 == await bridge.post(b'{"Id": 7, "ConfirmationStatusId": 0}')
    done = await asyncio.to_thread(invoke, "status", "--config", bridge.config)
    async with patience():
        while "; 0 events safe" in done.stdout:  # it looks at itself about each second
            done = await asyncio.to_thread(invoke, "status", "--config", bridge.config)
    sentence, then, *_ = done.stdout.splitlines()
    assert (1, "") == (done.exit_code, done.stderr)
    assert re.fullmatch(r"Broker away since \d\d:\d\d; 1 event safe; room for [\d,]+ more.*", sentence)
    assert "  Consumers get nothing until RabbitMQ is back." == then
    assert re.search(rf"^outbox +{bridge.config.parent}/outbox$", done.stdout, re.MULTILINE)
    assert re.search(r"^waiting +1$", done.stdout, re.MULTILINE)
    answer = json.loads(
        (await asyncio.to_thread(invoke, "status", "--config", bridge.config, "--json")).stdout
    )
    assert ("bad", sentence) == (answer["sayings"][0]["kind"], answer["sayings"][0]["one"])


@pytest.fixture
def served_two(served: Path) -> Path:
    """The same with a second source."""
    credential = 'name = "2026"\nheaders = { X-Api-Key = "of the second source" }'
    more = f'[sources.fabrikam]\nallow_from = ["127.0.0.1"]\n[[sources.fabrikam.credentials]]\n{credential}\n'
    served.write_text(served.read_text() + more)
    return served


async def test_status_shows_what_each_source_has_of_what_all_share(served_two: Path, run: Run) -> None:
    bridge = await Bridge.start(served_two)
    try:
        assert 202 == await bridge.post(b'{"Id": 7, "ConfirmationStatusId": 0}')
        done = await asyncio.to_thread(run, "status", "--config", served_two)
    finally:
        await bridge.stop()
    *_, heading, contoso, fabrikam = done.stdout.splitlines()
    columns = ["source", "in flight", "outbox bytes", "held bytes", "not understood bytes"]
    assert columns == re.split(" {2,}", heading)
    assert re.fullmatch(r"contoso +0 +[1-9][\d,]+ +0 +0", contoso)
    assert re.fullmatch(r"fabrikam +0 +0 +0 +0", fabrikam)


async def test_check_says_that_the_outbox_is_open_in_the_bridge_that_runs(bridge: Bridge, run: Run) -> None:
    done = await asyncio.to_thread(run, "check", "--config", bridge.config)
    place = f"{bridge.config.parent}/outbox"
    assert f"{place}: a running bridge has it open; `tms-bridge outbox status` says what waits" in done.stdout
    assert "created at the start" not in done.stdout


async def test_a_bridge_that_answers_is_asked_though_its_outbox_cannot_be_seen_from_here(
    bridge: Bridge, run: Run, tmp_path: Path
) -> None:
    assert 202 == await bridge.post(b'{"Id": 7, "ConfirmationStatusId": 0}')
    seen = bridge.config.read_text().replace(f"{bridge.config.parent}/outbox", "not/mounted/here")
    (tmp_path / "here.toml").write_text(seen)
    done = await asyncio.to_thread(run, "outbox", "status", "--config", tmp_path / "here.toml", "--json")
    assert (0, 1) == (done.returncode, json.loads(done.stdout)["pending"])
    assert not (tmp_path / "not").exists()


async def test_calls_tell_what_became_of_each_and_can_be_narrowed(bridge: Bridge, invoke: Invoke) -> None:
    assert 202 == await bridge.post(b'{"Id": 7, "ConfirmationStatusId": 0}')
    assert 422 == await bridge.post(b"\xff")
    args = ("calls", "--config", bridge.config)
    every = await asyncio.to_thread(invoke, *args, "--json")
    assert [422, 202] == [json.loads(line)["http_status"] for line in every.stdout.splitlines()]
    accepted = await asyncio.to_thread(invoke, *args, "--outcome", "accepted", "--address", "127.0.0.0/8")
    assert ("class/7" in accepted.stdout, " 422 " in accepted.stdout) == (True, False)
    wrong = await asyncio.to_thread(invoke, *args, "--address", "nowhere")
    assert (2, "") == (wrong.exit_code, wrong.stdout)
    assert "Address takes an IP address, or a range" in wrong.stderr


async def test_calls_that_are_followed_appear_as_they_come_with_what_to_do(bridge: Bridge) -> None:
    command = (sys.executable, "-m", "tms_bridge", "calls", "--follow", "--config", str(bridge.config))
    following = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert following.stdout is not None
    assert following.stderr is not None
    assert b"waiting for calls; Ctrl-C ends it\n" == await following.stderr.readline()
    shown = asyncio.create_task(following.stdout.readline())
    while not shown.done():  # the stream tells what comes once it is open, which is a moment later
        assert 422 == await bridge.post(b"\xff")
        await asyncio.wait({shown}, timeout=0.2)
    line = (await shown).decode()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  422  contoso class  ", line)
    assert "`tms-bridge quarantine` shows and replays it." in line
    assert 202 == await bridge.post(b'{"Id": 7, "ConfirmationStatusId": 0}')
    while "class/7" not in line:
        line = (await following.stdout.readline()).decode()
    assert "  202  contoso class  " in line
    following.send_signal(signal.SIGINT)
    assert 130 == await following.wait()


async def test_status_without_a_bridge_is_exit_code_1_and_says_so(invoke: Invoke, config: Path) -> None:
    done = await asyncio.to_thread(invoke, "status", "--config", config)
    assert (1, "") == (done.exit_code, done.stdout)
    assert "no bridge answers at http://127.0.0.1:" in done.stderr


async def test_bodies_in_quarantine_are_listed_shown_replayed_and_dropped(
    bridge: Bridge, invoke: Invoke
) -> None:
    assert 422 == await bridge.post(b"\xff")
    args = ("--config", bridge.config, "--json")
    listed = await asyncio.to_thread(invoke, "quarantine", "list", *args)
    row = json.loads(listed.stdout)
    shown = await asyncio.to_thread(invoke, "quarantine", "show", row["id"], *args)
    assert ("/w==", 1) == (json.loads(shown.stdout)["body"], json.loads(shown.stdout)["bytes"])
    replayed = await asyncio.to_thread(invoke, "quarantine", "replay", "--all", *args)
    assert (1, False) == (replayed.exit_code, json.loads(replayed.stdout)["done"])
    released = await asyncio.to_thread(invoke, "quarantine", "release", row["id"], *args)
    assert (1, False) == (released.exit_code, json.loads(released.stdout)["done"])
    dropped = await asyncio.to_thread(invoke, "quarantine", "drop", row["id"], "--yes", *args)
    assert (0, True) == (dropped.exit_code, json.loads(dropped.stdout)["done"])
    assert f"dropped undecodable {row['id']}" in dropped.stderr
    assert "" == (await asyncio.to_thread(invoke, "quarantine", "list", *args)).stdout


async def test_events_are_exported_dropped_and_imported_without_a_loss(
    bridge: Bridge, invoke: Invoke
) -> None:
    plan = Plan(url=bridge.url, source="contoso", headers=CREDENTIALS, count=1100, plain=True)
    await simulate(plan)
    args = ("--config", bridge.config)
    before = await asyncio.to_thread(invoke, "outbox", "export", *args)
    rows = [json.loads(line) for line in before.stdout.splitlines()]
    assert (1100, "exported 1100\n") == (len({row["id"] for row in rows}), before.stderr)
    first = rows[0]["id"]
    assert 0 == (await asyncio.to_thread(invoke, "outbox", "drop", first, "--yes", *args)).exit_code
    done = await asyncio.to_thread(
        invoke, "outbox", "import", "-", "--json", *args, input=before.stdout.encode()
    )
    assert {"imported": 1, "already_here": 1099} == json.loads(done.stdout)
    after = await asyncio.to_thread(invoke, "outbox", "export", *args)
    again = {row["id"]: row for row in map(json.loads, after.stdout.splitlines())}
    changing = {"seq", "replayed"}
    for row in rows:
        assert {k: v for k, v in row.items() if k not in changing} == {
            k: v for k, v in again[row["id"]].items() if k not in changing
        }
    assert [first] == [row["id"] for row in again.values() if row["replayed"]]


async def test_a_pending_event_cannot_be_retried(bridge: Bridge, invoke: Invoke) -> None:
    assert 202 == await bridge.post(b'{"Id": 7, "ConfirmationStatusId": 0}')
    args = ("--config", bridge.config, "--json")
    row = json.loads((await asyncio.to_thread(invoke, "outbox", "list", *args)).stdout)
    done = await asyncio.to_thread(invoke, "outbox", "retry", row["id"], *args)
    assert (1, False) == (done.exit_code, json.loads(done.stdout)["done"])


async def test_another_token_than_the_bridges_is_exit_code_2(bridge: Bridge, run: Run) -> None:
    done = await asyncio.to_thread(
        run, "outbox", "list", "--config", bridge.config, TOKEN="another-token-of-tests"
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert "[admin] token" in done.stderr
    assert "another-token" not in done.stderr


async def test_a_second_bridge_on_the_same_outbox_refuses_to_start(bridge: Bridge, run: Run) -> None:
    done = await asyncio.to_thread(run, "serve", "--config", bridge.config)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("tms-bridge: ")


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<html>", "does not answer like a bridge"),
        (500, b"<html>", "Internal Server Error"),
        (503, b'{"title": "No", "detail": "The outbox is full."}', "The outbox is full."),
    ],
)
async def test_what_is_no_bridge_at_the_admin_address_is_said(
    unused_tcp_port: int, status: int, body: bytes, says: str, aiohttp_server: AiohttpServer
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = await aiohttp_server(app, port=unused_tcp_port)
    api = AdminApi(Admin(listen=f"0.0.0.0:{unused_tcp_port}"))
    with pytest.raises(BridgeError, match=says):
        await asyncio.to_thread(api.ask, "GET", "/api/v1/status", Admin)
    await server.close()
    with pytest.raises(NoBridge, match=r"no bridge answers at http://127\.0\.0\.1"):
        api.ask("GET", "/api/v1/status", Admin)


async def test_live_is_yes_while_the_process_answers_though_no_broker_is_there(
    bridge: Bridge, invoke: Invoke
) -> None:
    done = await asyncio.to_thread(invoke, "live", "--json", "--config", bridge.config)
    assert (0, {"live": True}) == (done.exit_code, json.loads(done.stdout))
    await bridge.stop()
    done = await asyncio.to_thread(invoke, "live", "--config", bridge.config)
    assert (1, "does not answer /livez") == (done.exit_code, done.stdout.strip()[-22:])
