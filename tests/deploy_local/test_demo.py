import base64
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.waiting import PATIENCE_S

from packages import NotInstalledError, install_rabbitmq
from ports import free_port
from tms_events import topics

DEMO = Path(__file__).resolve().parents[2] / "deploy" / "local" / "demo.py"
PASSWORD = "the-same-each-time"
ROUTING_KEYS = {
    topics.topic(trigger, status)
    for trigger, statuses in topics.STATUSES.items()
    for status in statuses
    if status != "unknown"
}


def _environment(amqp_url: str | None = None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "AMQP_URL"}
    ports = {"HTTP_PORT": str(free_port()), "ADMIN_PORT": str(free_port()), "RUN_PASSWORD": PASSWORD}
    return kept | ports | ({"AMQP_URL": amqp_url} if amqp_url else {})


@contextmanager
def _started(*arguments: str, amqp_url: str | None = None) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, DEMO, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(amqp_url),
    ) as demo:
        yield demo


def _read_until(demo: subprocess.Popen[str], sign: str) -> str:
    assert demo.stdout is not None
    read = ""
    for line in demo.stdout:
        read += line
        if sign in line:
            return read
    raise AssertionError(read)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _processes_of(pid: int) -> list[int]:
    """Open everything that a process has started, for a look at whether it has ended."""
    return [os.pidfd_open(child) for child in _children(pid)]


def _assert_gone(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        ended, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        os.close(descriptor)
        assert ended == [descriptor]


def test_the_demo_shows_twelve_events_on_twelve_routing_keys() -> None:
    done = subprocess.run(
        [sys.executable, DEMO],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env=_environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(re.findall(r"tms\.\w+\.\w+", done.stdout)) == ROUTING_KEYS
    assert len(re.findall(r"\b202\b.* ms$", done.stdout, re.MULTILINE)) == 12


def test_the_demo_takes_the_broker_that_it_is_given(vhost: str) -> None:
    with _started(amqp_url=vhost) as demo:
        output = demo.communicate(timeout=60)[0]
    assert "AMQP_URL" in output
    assert "12 events arrived on 12 routing keys" in output
    assert demo.returncode == 0


def test_a_broker_that_does_not_answer_is_named_without_a_traceback() -> None:
    with _started(amqp_url="amqp://127.0.0.1:1/") as demo:
        output = demo.communicate()[0]
    assert demo.returncode == 1
    assert "demo failed" in output
    assert "the broker of AMQP_URL, 127.0.0.1:1, does not let us in" in output
    assert "✓" not in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "url", ["localhost", "http://localhost", "amqp://:s3cret@", "amqp://tms:s3cret@h:99999"]
)
def test_what_is_no_url_of_a_broker_is_said_at_once_without_its_password(url: str) -> None:
    with _started(amqp_url=url) as demo:
        output = demo.communicate()[0]
    assert demo.returncode == 1
    assert "AMQP_URL is no AMQP URL" in output
    assert "✓" not in output
    assert "s3cret" not in output


def test_a_taken_port_is_said_with_the_variable_that_chooses_another(vhost: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = _environment(vhost) | {"HTTP_PORT": str(taken.getsockname()[1])}
        done = subprocess.run(
            [sys.executable, DEMO, "--stay"], capture_output=True, text=True, env=environment, check=False
        )
    assert done.returncode == 1
    assert "HTTP_PORT=18080 make run" in done.stderr


def test_who_can_neither_find_nor_install_a_broker_is_told_three_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(NotInstalledError) as caught:
        install_rabbitmq()
    ways = re.findall(r"^  \d\. .*$", str(caught.value), re.MULTILINE)
    assert ["apt-get install -y", "Docker", "AMQP_URL="] == [
        word
        for word, way in zip(("apt-get install -y", "Docker", "AMQP_URL="), ways, strict=True)
        if word in way
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 0),
        pytest.param(signal.SIGTERM, 0, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.long),
    ],
)
def test_everything_that_stays_up_goes_with_the_program(number: signal.Signals, code: int) -> None:
    with _started("--stay") as demo:
        text = _read_until(demo, "Ctrl-C")
        started = _processes_of(demo.pid)
        demo.send_signal(number)
        rest = demo.communicate(timeout=PATIENCE_S)[0]
    token = base64.urlsafe_b64encode(f"Webhookuser:{PASSWORD}".encode()).decode()
    assert f"Authorization=Basic {token}\n" in text
    assert "Traceback" not in rest
    assert demo.returncode == code
    assert len(started) == 5  # RabbitMQ, its port mapper, the bridge, and a janitor for each directory
    _assert_gone(started)


def test_an_interrupt_while_the_broker_starts_leaves_nothing() -> None:
    with _started() as demo:
        while len(_children(demo.pid)) < 3:
            assert demo.poll() is None
            time.sleep(0.01)
        started = _processes_of(demo.pid)
        demo.send_signal(signal.SIGINT)
        output = demo.communicate(timeout=PATIENCE_S)[0]
    assert "Traceback" not in output
    assert demo.returncode == 130
    _assert_gone(started)
