import asyncio
import base64
import json
from pathlib import Path

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from .conftest import Invoke, Run

HEADER = "Authorization=Basic " + base64.urlsafe_b64encode(b"Webhookuser:webhookpassword").decode()


class Receiver:
    """A real server that answers as the bridge does, or always with an error."""

    def __init__(self) -> None:
        self.status = 202
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.authorization: set[str] = set()

    async def receive(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.authorization.add(request.headers.get("Authorization", ""))
        self.paths.append(request.path)
        answer = {"id": "1", "outcome": "duplicate", "detail": "Credentials are missing or wrong."}
        return web.json_response(answer, status=self.status)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def url(receiver: Receiver, aiohttp_server: AiohttpServer) -> str:
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.receive)
    server = await aiohttp_server(app)
    return str(server.make_url("/")).rstrip("/")


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


@pytest.mark.parametrize("command", ["simulate", "tms-settings"])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:8080", "https://127.0.0.1:8080"),
        ("hooks.example.com", "https://hooks.example.com"),
        ("ftp://hooks.example.com", "https://hooks.example.com"),
        ("https://", "write it with http:// or https:// before it"),
        ("https://h/webhooks/contoso/class-changed", "end it before /webhooks, as https://h"),
        ("https://h/tms/webhooks", "end it before /webhooks, as https://h/tms"),
        ("https://h/?x=1", "end it before /webhooks"),
        ("https://h:99999", "its host or port cannot be read"),
    ],
)
def test_an_address_that_is_no_base_is_exit_code_2_and_says_what_to_write(
    invoke: Invoke, config: Path, command: str, url: str, says: str
) -> None:
    result = invoke(command, "--config", config, "--url", url, "--source", "contoso")
    assert (2, "") == (result.exit_code, result.stdout)
    assert says in " ".join(result.stderr.split())


async def test_credentials_come_from_the_configuration(
    run: Run, receiver: Receiver, url: str, config: Path
) -> None:
    args = ("simulate", "--config", config, "--url", url, "--source", "contoso", "--count", "2")
    done = await asyncio.to_thread(run, *args)
    assert (0, {HEADER.partition("=")[2]}) == (done.returncode, receiver.authorization)
    done = await asyncio.to_thread(run, *args, "--credential", "api-key")
    assert (0, "") == (done.returncode, min(receiver.authorization))
    assert 2 == (await asyncio.to_thread(run, *args, "--credential", "2025")).returncode


async def test_a_refusal_is_told_in_the_words_of_its_problem(run: Run, receiver: Receiver, url: str) -> None:
    receiver.status = 401
    args = ("simulate", "--url", url, "--source", "contoso", "--count", "3", "--max-retries", "0")
    done = await asyncio.to_thread(run, *args)
    assert (1, "") == (done.returncode, done.stderr)
    assert "3 x 401" in done.stdout
    assert "401      Credentials are missing or wrong." in done.stdout


async def test_saved_bodies_are_sent_in_the_order_of_their_names(
    run: Run, receiver: Receiver, url: str, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    bodies = {"class-2.json": b'{"b": 2}', "class-1.json": b"\xff", "course_assignment-1": b'{"a": 1}'}
    for name, body in bodies.items():
        (saved / name).write_bytes(body)
    args = ("simulate", "--url", url, "--source", "contoso", "--header", HEADER, "--from", saved)
    done = await asyncio.to_thread(run, *args)
    assert (0, "") == (done.returncode, done.stderr)
    assert [b"\xff", b'{"b": 2}', b'{"a": 1}'] == receiver.bodies
    assert ["class", "class", "course-assignment"] == [path.split("/")[-1][:-8] for path in receiver.paths]
    (saved / "notes.txt").write_text("")
    done = await asyncio.to_thread(run, *args)
    assert (2, 3) == (done.returncode, len(receiver.bodies))
    assert "notes.txt" in done.stderr


async def test_events_that_tail_has_saved_are_sent_as_their_sender_sent_them(
    run: Run, receiver: Receiver, url: str, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    event = '{{"routing_key":"k","properties":{{}},"headers":{{}},"body":{{"trigger":"{}"{}}}}}'
    (saved / "0001.json").write_text(event.format("course_assignment", ',"payload":{"Id":1.50}'))
    (saved / "0002.json").write_text(event.format("class", ',"payload":[7]'))
    args = ("simulate", "--url", url, "--source", "contoso", "--header", HEADER, "--from", saved)
    done = await asyncio.to_thread(run, *args)
    assert (0, "") == (done.returncode, done.stderr)
    assert [b'{"Id":1.50}', b"[7]"] == receiver.bodies
    assert ["course-assignment", "class"] == [path.split("/")[-1][:-8] for path in receiver.paths]
    (saved / "0003.json").write_text(event.format("class", ""))
    done = await asyncio.to_thread(run, *args)
    assert (2, True) == (done.returncode, "saved without its payload" in " ".join(done.stderr.split()))
