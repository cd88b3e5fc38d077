"""Every command on a terminal of 80 and 120 columns: what a person would copy stands there in one piece."""

import asyncio
import http.client
import itertools
import json
import os
import re
import shlex
import signal
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aio_pika
import click
import pytest
from click.testing import CliRunner
from tests.outbox.outboxes import accept, event

from bridge import Bridge
from rabbitmq import Node
from tms_bridge.cli.program import program
from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Outbox

from .terminal import Cue, Program, folded, shown_on

WIDTHS = (80, 120)
LONG = "an-organisation-with-a-rather-long-name"
QUEUE = "a-queue-of-the-customer-relations-department"
KEY = "k3y" * 30
MORE = f"""
[[amqp.queues]]
name = "{QUEUE}"
bindings = ["tms.course_assignment.*", "tms.class.completed"]
[sources.{LONG}]
allow_from = ["203.0.113.0/24"]
on_unlisted_address = "hold"
[[sources.{LONG}.credentials]]
name = "2026"
basic = {{ username = "Webhookuser-{LONG}", password = "{LONG}" }}
[[sources.{LONG}.credentials]]
name = "key"
headers = {{ X-Api-Key = "{KEY}" }}
"""
BODY = '{"Id": %d, "ConfirmationStatusId": %d, "Name": "A class whose name is longer than a line"}'
REQUESTED, DENIED, COMPLETED = 5, 6, 7
NOBODY = "00000000-0000-7000-8000-000000000000"
"""An id that nothing has."""


class Scene:
    """A bridge and its broker: events wait, are refused, held, or wanted by no queue, and bodies are none."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._numbers = itertools.count(48211)
        self.directory = bridge.configuration.parent
        self.url = bridge.url
        self.refused = [event(number).id for number in range(len(WIDTHS))]
        self.lost: list[str] = []

    def prepare(self) -> None:
        """Put in place what a bridge cannot be brought to, and the files that commands read."""
        asyncio.run(_keep(self._bridge.outbox, self._refuse))
        asyncio.run(_keep(self.directory / "old", lambda journal: accept(journal, event(9))))
        text = self._bridge.configuration.read_text()
        elsewhere = text.replace(str(self._bridge.outbox), str(self.directory / "another"))
        dead = text.replace(self._bridge.admin_url.removeprefix("http://"), "127.0.0.1:1")
        for name, content in {
            "archive.toml": f"{text}\n[amqp.archive]\n",
            "another.toml": re.sub(r'127\.0\.0\.1:\d+"', '127.0.0.1:0"', elsewhere),
            "dead.toml": dead,
            "body.json": BODY % (1, COMPLETED),
            "bad.json": '{"Event": {"Key": 48211, "State": {"New": "Denied"}}}',
            "lines.jsonl": "{}\n",
            "page.md": "2001:db8:1234:5678:9abc:def0:1234:5678\n",
        }.items():
            (self.directory / name).write_text(content)

    async def _refuse(self, journal: Journal) -> None:
        for number in range(len(self.refused)):
            receipt = await accept(journal, event(number))
            journal.refuse(receipt.seq, "the headers are larger than a frame of 131,072 bytes")

    def fill(self, amqp_url: str) -> None:
        """Bring about what a running bridge shows; the stream, which takes everything, comes last."""
        asyncio.run(_full_queue(amqp_url))
        for _ in range(len(WIDTHS) + 1):
            self.lost.append(self._post("contoso", BODY % (next(self._numbers), REQUESTED)))
            self._until(self.lost[-1], "unroutable")
        for kind in (self.pending, self.pending, self.held, self.undecodable):
            kind()
        self._run("topology", "apply", "--config", "archive.toml")
        self._until(self.delivered(), "delivered")

    def pending(self) -> str:
        return self._post("contoso", BODY % (next(self._numbers), DENIED))

    def held(self) -> str:
        return self._post(LONG, BODY % (next(self._numbers), COMPLETED))

    def undecodable(self) -> str:
        return self._post("contoso", f'{{"Nr": {next(self._numbers)}, "ConfirmationStatusId": 1}}')

    def delivered(self) -> str:
        return self._post("contoso", BODY % (next(self._numbers), COMPLETED))

    def answers(self, args: list[str]) -> list[object]:
        """Return what a command prints with `--json`, one document or several lines."""
        told = self._run(*args, "--json")
        if told.lstrip().startswith(("{\n", "[\n")):
            return [json.loads(told)]
        return [json.loads(line) for line in told.splitlines()]

    def _post(self, source: str, body: str) -> str:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        headers = {"X-Api-Key": KEY} if source == LONG else {"Authorization": self._bridge.authorization}
        connection.request("POST", f"/webhooks/{source}/class-changed", body, headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return str(answer.get("id") or answer["quarantine_id"])

    def _run(self, *args: str) -> str:
        return CliRunner().invoke(program, args).stdout

    def _until(self, event_id: str, state: str) -> None:
        while f'"state":"{state}"' not in self._run("calls", "--id", event_id, "--json"):
            pass


async def _keep(directory: Path, work: Callable[[Journal], Awaitable[object]]) -> None:
    journal = await Journal.open(Outbox(dir=str(directory), min_free_bytes=0))
    await work(journal)
    await journal.close()


async def _full_queue(url: str) -> None:
    """Bind a queue that takes one event and refuses the next."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        limits: dict[str, aio_pika.abc.FieldValue] = {"x-max-length": 1, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue("full", durable=True, arguments=limits)
        await queue.bind("tms.events", "tms.class.denied")


@pytest.fixture(scope="module")
def scene(rabbitmq: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    name = tmp_path_factory.mktemp("terminal").name
    url = rabbitmq.add_vhost(name)
    bridge = Bridge(url, more=MORE)
    scene = Scene(bridge)
    scene.prepare()
    before = Path.cwd()
    os.chdir(scene.directory)  # where a command finds its configuration
    try:
        with bridge:
            scene.fill(url)
            yield scene
    finally:
        os.chdir(before)
        rabbitmq.delete_vhost(name)


class Case(NamedTuple):
    """A call of a command, in which `{word}` is something of that kind in the scene.

    Attributes:
        args: what follows on the command.
        values: what must stand on the screen, beside the words in `args`; None: what `--json` prints.
        cues: what is done once something stands on the screen.
    """

    args: str = ""
    values: tuple[str, ...] | None = None
    cues: tuple[tuple[str, str], ...] = ()


TABLE: dict[str, list[Case]] = {
    "serve": [Case("--config another.toml", ("{directory}/another",), (("ready  version=", "stop"),))],
    "init": [Case("{directory}/a-directory-of-its-own/a-configuration-with-a-long-name.toml --force")],
    "check": [Case("--online")],
    "live": [Case("--config dead.toml", ("http://127.0.0.1:1",))],
    "tms-settings": [
        Case(f"--source {LONG} --url https://hooks.training.example.com --reveal"),
        Case(f"--source {LONG} --credential key --reveal"),
    ],
    "explain": [Case(f"--source {LONG} --trigger class {body}.json") for body in ("body", "bad")],
    "fields": [Case(), Case("--propose")],
    "simulate": [Case("--url {url} --source no-such-one --header X-Api-Key=x --count 1 --max-retries 0")],
    "tail": [Case("--count 1", ("tms.class.completed", "/tms/contoso"), (("listening to", "delivered"),))],
    "replay": [
        Case("--config archive.toml --since 1d --dry-run", ("tms.class.completed",)),
        Case(f"--config archive.toml --since 1d --to {QUEUE}"),
    ],
    "topology show": [Case("--config archive.toml")],
    "topology apply": [Case()],
    "bindings check": [
        Case(QUEUE),
        Case("rooms --config archive.toml --binding tms.class.denied --since 1d", ("tms.class.completed",)),
    ],
    "status": [Case()],
    "calls": [
        Case(),
        Case("--follow", (), (("waiting for calls", "delivered"), ("tms.class.completed", "interrupt"))),
    ],
    "outbox status": [Case()],
    "outbox list": [Case()],
    "outbox retry": [Case("{refused}", ())],
    "outbox drop": [Case("{pending} --yes", ())],
    "outbox export": [Case("-", ("{pending}",))],
    "outbox import": [Case("lines.jsonl", ("line 1",))],
    "outbox salvage": [Case("old/outbox.db", (event(9).id,))],
    "quarantine list": [Case()],
    "quarantine show": [Case("{held}"), Case("{undecodable}"), Case(NOBODY, (NOBODY,))],
    "quarantine replay": [
        Case("{undecodable}", ()),
    ],
    "quarantine release": [Case("{held}", ())],
    "quarantine drop": [Case("{undecodable} --yes", ())],
    "quarantine export": [Case("-", ("{undecodable}",))],
    "unroutable status": [Case()],
    "unroutable replay": [Case("--limit 1", ("{lost}", "tms.class.requested"))],
    "allowlist check": [Case("--page page.md")],
    "schema export": [Case("{directory}/the-message-contract")],
}
CASES = [(path, case) for path, cases in TABLE.items() for case in cases]


class Call:
    """A case as it is typed, and what of it must stand on the screen."""

    def __init__(self, scene: Scene, path: str, case: Case) -> None:
        self._scene, self._case = scene, case
        self._noted: list[str] = []
        self.args = [*path.split(), *shlex.split(self._filled(case.args))]
        self._values = [self._filled(value) for value in case.values or ()]

    @property
    def cues(self) -> list[Cue]:
        return [(sign, partial(self._do, deed)) for sign, deed in self._case.cues]

    def shown(self, width: int) -> tuple[str, object]:
        """Return what stands on a screen of this width, and what is to stand there."""
        told = self._scene.answers(self.args) if self._case.values is None else None
        shown = shown_on(width, self.args, self._scene.directory, self.cues)
        return shown, told if told is not None else [*self._values, *self._noted]

    def _filled(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: self._word(found[1]), text)

    def _word(self, kind: str) -> str:
        known = getattr(self._scene, kind)
        self._noted.append(str(known() if callable(known) else known.pop(0) if kind in TAKEN else known))
        return self._noted[-1]

    def _do(self, deed: str, process: Program) -> None:
        if deed in SIGNALS:
            process.send_signal(SIGNALS[deed])
        else:
            self._word(deed)


TAKEN = {"refused", "lost"}
SIGNALS = {"stop": signal.SIGTERM, "interrupt": signal.SIGINT}


def commands(command: click.Command, path: str = "") -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield path
        return
    for name in command.list_commands(click.Context(command)):
        inner = command.get_command(click.Context(command), name)
        assert inner is not None
        yield from commands(inner, f"{path} {name}".strip())


def test_every_command_stands_in_the_table() -> None:
    assert sorted(commands(program)) == sorted(TABLE)


@pytest.mark.parametrize("width", [WIDTHS[0], pytest.param(WIDTHS[1], marks=pytest.mark.long)])
@pytest.mark.parametrize(("path", "case"), CASES, ids=[f"{path} {case.args}" for path, case in CASES])
def test_no_value_is_folded_or_cut(scene: Scene, path: str, case: Case, width: int) -> None:
    shown, told = Call(scene, path, case).shown(width)
    assert [] == folded(shown, told)


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        ("id 01936000-0000-7000-8000-000000000001 ok", []),
        ("id 01936000-0000-7000-\n   8000-000000000001 ok", ["01936000-0000-7000-8000-000000000001"] * 2),
        ("id 0193\n6000-0000-7000-8000-000000000001", ["01936000-0000-7000-8000-000000000001"] * 2),
        ("id 01936000-0000-7000-80… ok", ["01936000-0000-7000-8000-000000000001"] * 2),
        ("nothing of it but ok", ["01936000-0000-7000-8000-000000000001"]),
    ],
)
def test_what_is_folded_cut_or_left_out_is_found(shown: str, wrong: list[str]) -> None:
    assert wrong == folded(shown, [{"id": "01936000-0000-7000-8000-000000000001", "state": "ok"}])


def test_serve_on_a_terminal_logs_for_people_unless_the_configuration_decides(
    scene: Scene, tmp_path: Path
) -> None:
    text = (scene.directory / "another.toml").read_text().replace(str(scene.directory), str(tmp_path))
    for more, begins in (
        ("", r"^\d\d:\d\d:\d\d  ready  version="),
        ('[log]\nformat = "json"\n', r'^\{.*"ready"'),
    ):
        (tmp_path / "tms-bridge.toml").write_text(text + more)
        shown = shown_on(80, ["serve"], tmp_path, [("ready", lambda process: process.terminate())])
        assert re.search(begins, shown, re.MULTILINE), shown


def test_what_init_says_to_do_next_is_in_one_piece(tmp_path: Path) -> None:
    file = tmp_path / "a-directory-of-its-own" / "a-configuration-with-a-long-name.toml"
    shown = shown_on(80, ["init", file], tmp_path)
    for step in ("check --online", "serve"):
        assert f"tms-bridge {step} --config {file}" in shown
