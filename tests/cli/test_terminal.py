"""The commands on a terminal of 80 and of 120 columns: what a person would copy stands there in one piece."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.bootstrap.running import NOWHERE, Process, ask, bridge

Screen = Callable[..., str]

LONG = "an-organisation-with-a-rather-long-name"
CONFIG = f"""
[http]
listen = "127.0.0.1:0"
shutdown_delay_s = 0
[admin]
listen = "127.0.0.1:{{admin}}"
[amqp]
urls = ["{NOWHERE}"]
[[amqp.queues]]
name = "a-queue-of-the-customer-relations-department"
bindings = ["tms.course_assignment.*", "tms.class.guaranteed_to_run"]
[outbox]
dir = "outbox"
min_free_bytes = 0
[sources.{LONG}]
allow_from = ["203.0.113.0/24"]
on_unlisted_address = "hold"
[[sources.{LONG}.credentials]]
name = "2026"
basic = {{{{ username = "Webhookuser-{LONG}", password = "{LONG}" }}}}
[[sources.{LONG}.credentials]]
name = "key"
headers = {{{{ X-Api-Key = "{"k3y" * 30}" }}}}
"""
BODY = '{"Id": 48211, "ConfirmationStatusId": 1, "Name": "A class whose name is longer than a line"}'
STEADY = re.compile(r"(?![\d,]+$)")
"""A word of prose that is no number: how much room a disk has changes from look to look."""

BEGINNING = 12
"""Letters by which a value is recognised on the screen: as many as none has in common with another."""


@pytest.fixture(params=[80, 120])
def screen(request: pytest.FixtureRequest, tmp_path: Path) -> Screen:
    """Run a command on a terminal of its own, and return what it shows, without colours."""

    def screen(*args: object) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, request.param, 0, 0))
        environ = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        process = subprocess.Popen(
            [sys.executable, "-m", "tms_bridge", *map(str, args)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=tmp_path,
            env=environ | {"TERM": "xterm-256color"},
        )
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
        process.wait(timeout=60)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r\n", "\n")

    return screen


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # how Linux tells that the other side is closed
        return b""


@pytest.fixture
def config(tmp_path: Path, unused_tcp_port: int) -> Path:
    path = tmp_path / "tms-bridge.toml"
    path.write_text(CONFIG.format(admin=unused_tcp_port))
    return path


@pytest.fixture
def write(config: Path) -> Callable[[str], object]:
    """Let the one source in from these addresses alone."""
    text = config.read_text()
    return lambda addresses: config.write_text(text.replace("203.0.113.0/24", addresses))


@pytest.fixture
async def filled(config: Path, write: Callable[[str], object]) -> AsyncIterator[Process]:
    """A bridge with an event that waits, one that is held, and a body that is none."""
    write("127.0.0.1")
    async with bridge(config) as process:
        for body in (BODY, '{"ConfirmationStatusId": 1}'):
            await ask(process.http, _webhook(body))
        write("203.0.113.0/24")
        await process.until("configuration reloaded")
        await ask(process.http, _webhook(BODY.replace("48211", "48212")))
        yield process


def _webhook(body: str) -> bytes:
    key = "k3y" * 30
    return (
        f"POST /webhooks/{LONG}/class-changed HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def values(answer: object) -> Iterator[str]:
    """Yield what a person might copy: every text and number of the JSON."""
    if isinstance(answer, dict):
        for value in answer.values():
            yield from values(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from values(value)
    elif isinstance(answer, str):
        # Prose breaks between its words, where nothing is lost by it.
        yield from [answer] if answer.count(" ") < 2 else filter(STEADY.match, answer.split())
    elif isinstance(answer, int | float) and not isinstance(answer, bool):
        yield f"{answer:g}" if isinstance(answer, float) else str(answer)


def answers(*args: object, cwd: Path) -> list[object]:
    command = [sys.executable, "-m", "tms_bridge", *map(str, args), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=60)
    if done.stdout.lstrip().startswith(("{\n", "[\n")):
        return [json.loads(done.stdout)]
    return [json.loads(line) for line in done.stdout.splitlines()]


def folded(shown: str, told: list[object]) -> list[str]:
    """Return the values that begin on the screen and do not go on in one piece."""
    told_here = [value for answer in told for value in values(answer) if value[:BEGINNING] in shown]
    assert told_here, "nothing of the answer stands on the screen"
    return [value for value in told_here if value not in shown]


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["tms-settings", "--source", LONG, "--url", "https://hooks.training.example.com", "--reveal"],
        ["tms-settings", "--source", LONG, "--credential", "key", "--reveal"],
        ["explain", "--source", LONG, "--trigger", "class", "body.json"],
        ["allowlist", "check", "--page", "page.md"],
    ],
    ids=" ".join,
)
def test_no_value_is_folded_where_no_bridge_is_needed(
    command: list[str], config: Path, screen: Screen, tmp_path: Path
) -> None:
    (tmp_path / "body.json").write_text(BODY)
    (tmp_path / "page.md").write_text("2001:db8:1234:5678:9abc:def0:1234:5678\n")
    told = answers(*command, cwd=config.parent)
    assert [] == folded(screen(*command), told)


@pytest.mark.parametrize("command", ["calls", "outbox status", "outbox list", "quarantine list"])
async def test_no_value_of_the_rows_is_folded(
    command: str, filled: Process, screen: Screen, tmp_path: Path
) -> None:
    assert filled.admin
    told = answers(*command.split(), cwd=tmp_path)
    assert [] == folded(screen(*command.split()), told)


async def test_no_value_of_one_row_is_folded(filled: Process, screen: Screen, tmp_path: Path) -> None:
    assert filled.admin
    for row in answers("quarantine", "list", cwd=tmp_path):
        assert isinstance(row, dict)
        shown = screen("quarantine", "show", row["id"])
        assert [] == folded(shown, answers("quarantine", "show", row["id"], cwd=tmp_path))


@pytest.mark.parametrize("command", ["topology show", "unroutable status", "check --online"])
def test_no_value_of_the_broker_is_folded(
    command: str, config: Path, vhost: str, screen: Screen, tmp_path: Path
) -> None:
    config.write_text(config.read_text().replace(NOWHERE, vhost))
    answers("topology", "apply", cwd=tmp_path)
    told = answers(*command.split(), cwd=tmp_path)
    assert [] == folded(screen(*command.split()), told)


def test_serve_on_a_terminal_logs_for_people_unless_the_configuration_decides(
    config: Path, tmp_path: Path
) -> None:
    for more, begins in (("", r"\d\d:\d\d:\d\d  ready  version="), ('[log]\nformat = "json"\n', r"\{")):
        config.write_text(CONFIG.format(admin=0) + more)
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "tms_bridge", "serve", "--config", str(config)]
        environ = os.environ | {"NO_COLOR": "1"}
        process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environ
        )
        os.close(theirs)
        with os.fdopen(ours, errors="replace") as screen:
            line = next(line for line in screen if "ready" in line)
            process.terminate()
            assert re.match(begins, line), line
            assert 0 == process.wait(timeout=60)


def test_what_init_says_to_do_next_is_in_one_piece(screen: Screen, tmp_path: Path) -> None:
    file = tmp_path / "a-directory-of-its-own" / "a-configuration-with-a-long-name.toml"
    shown = screen("init", file)
    for step in ("check --online", "serve"):
        assert f"tms-bridge {step} --config {file}" in shown
