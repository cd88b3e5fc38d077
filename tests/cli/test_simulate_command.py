import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from .conftest import Invoke, Run

HEADER = "Authorization=Basic " + base64.urlsafe_b64encode(b"Webhookuser:webhookpassword").decode()


class Receiver:
    """A real server that answers as the bridge does, or always with an error."""

    def __init__(self) -> None:
        self.status = 202
        self.bodies: list[bytes] = []
        self.authorization: set[str] = set()

    async def receive(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.authorization.add(request.headers.get("Authorization", ""))
        return web.json_response({"id": "1", "outcome": "duplicate"}, status=self.status)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def url(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.receive)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


async def test_a_simulation_without_losses_is_exit_code_0(run: Run, receiver: Receiver, url: str) -> None:
    args = ("simulate", "--url", url, "--source", "contoso", "--header", HEADER, "--count", "20", "--json")
    done = await asyncio.to_thread(run, *args)
    assert (0, "") == (done.returncode, done.stderr)
    report = json.loads(done.stdout)
    assert (20, 20, 20, 0) == (report["sent"], report["accepted"], report["duplicates"], report["given_up"])
    assert {HEADER.partition("=")[2]} == receiver.authorization


async def test_events_that_were_given_up_are_exit_code_1(run: Run, receiver: Receiver, url: str) -> None:
    receiver.status = 503
    args = ("simulate", "--url", url, "--source", "contoso", "--count", "3", "--max-retries", "0")
    done = await asyncio.to_thread(run, *args)
    assert 1 == done.returncode
    assert "3 x 503" in done.stdout


async def test_every_status_is_sent_once(run: Run, receiver: Receiver, url: str, tmp_path: Path) -> None:
    record = tmp_path / "answers.jsonl"
    args = ("simulate", "--url", url, "--source", "contoso", "--every-status", "--record", record)
    done = await asyncio.to_thread(run, *args)
    assert 0 == done.returncode
    answers = [json.loads(line) for line in record.read_text().splitlines()]
    assert 12 == len(answers) == len({(answer["trigger"], answer["status"]) for answer in answers})
    assert {"accepted"} == {answer["result"] for answer in answers}
    assert sorted(answer["marker"] for answer in answers) == sorted(
        json.loads(body)["SimulatedEvent"] for body in receiver.bodies
    )


@pytest.mark.parametrize(
    "args",
    [
        ("--header", "no equals sign"),
        ("--header", "=value"),
        ("--max-retries", "6"),
        ("--count", "0"),
        ("--rate", "0"),
        ("--record", "/not/there/answers.jsonl"),
    ],
)
def test_a_wrong_call_is_exit_code_2(invoke: Invoke, args: tuple[str, str]) -> None:
    result = invoke("simulate", "--url", "http://127.0.0.1:1", "--source", "contoso", *args)
    assert (2, "") == (result.exit_code, result.stdout)


def test_an_address_of_another_scheme_is_exit_code_2(invoke: Invoke) -> None:
    result = invoke("simulate", "--url", "127.0.0.1:8080", "--source", "contoso")
    assert 2 == result.exit_code
    assert "http://" in result.stderr
