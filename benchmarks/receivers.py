"""What is compared: programs that take webhooks, each a process of its own."""

import base64
import json
import os
import socket
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from janitor import Janitor
from ports import free_port
from process_stats import cpu_s, memory_mb
from wrk import LoadFailedError, Target

ROOT = Path(__file__).resolve().parents[1]
RIVALS = Path(__file__).with_name("rivals")
BUILD = ROOT / "build" / "bench"
PROGRAM = ROOT / ".venv" / "bin" / "tms-bridge"

_PASSWORD = "benchmark-password"  # noqa: S105 - of a bridge that lives for a minute on the loopback address
_START_WITHIN_S = 20.0
_SETTLE_WITHIN_S = 120.0
_CONFIGURATION = """\
[http]
listen = "127.0.0.1:{port}"
max_in_flight = 1100
shutdown_delay_s = 0
drain_timeout_s = 0
[admin]
listen = "127.0.0.1:{admin_port}"
[amqp]
urls = [{amqp_url}]
[sources.contoso]
allow_from = ["skillable-tms", "127.0.0.1"]
[[sources.contoso.credentials]]
name = "benchmark"
basic = {{ username = "Webhookuser", password = "{password}" }}
"""
_OUTBOX = """\
[outbox]
dir = {directory}
max_bytes = 8589934592
"""


@dataclass
class Receiver:
    """One program that takes webhooks.

    Attributes:
        name: its key in the results.
        title: what the tables call it.
        command: what is run.
        target: where the load goes.
        admin_port: where it is asked what still waits; None when an answer means that nothing does.
        foreign_pid: of a process that was started by somebody else.
    """

    name: str
    title: str
    command: Sequence[str]
    target: Target
    env: Mapping[str, str] = field(default_factory=dict)
    admin_port: int | None = None
    foreign_pid: int | None = None

    def __post_init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tms-bench-"))
        self._janitor = Janitor(self.directory)
        self._pid = self.foreign_pid

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._pid is None:
            raise LoadFailedError(f"{self.title} is not running")
        return self._pid

    @property
    def cpu_s(self) -> float:
        """The processor time that it has used."""
        return cpu_s(self.pid)

    @property
    def memory_mb(self) -> tuple[float, float]:
        """Its resident memory, now and at its peak."""
        return memory_mb(self.pid)

    def start(self) -> float:
        """Start it; return after how many seconds it was ready."""
        if self.foreign_pid is not None:
            return 0.0
        began = time.perf_counter()
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **self.env}
        log = self.directory / "log"
        self._process = self._janitor.spawn(self.command, env=environment, cwd=self.directory, output=log)
        self._pid = self._process.pid
        while not self._is_ready():
            if self._process.poll() is not None or time.perf_counter() - began > _START_WITHIN_S:
                raise LoadFailedError(f"{self.title} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.002)
        return time.perf_counter() - began

    def stop(self) -> None:
        """End it in order."""
        if self.foreign_pid is None and self._pid is not None:
            self._process.terminate()
            self._process.wait(_START_WITHIN_S)
            self._janitor.forget(self._process)
            self._pid = None

    def close(self) -> None:
        """End it at once and remove what it left."""
        self._janitor.clean()
        if self.foreign_pid is None and self._pid is not None:
            self._process.wait()
            self._pid = None

    def metric(self, name: str) -> float:
        """Return the value of a metric without labels."""
        return next((value for labels, value in self._samples(name) if not labels), 0.0)

    def buckets(self, name: str) -> list[tuple[float, float]]:
        """Return a histogram's buckets: upper bound, and how many were at most that."""
        samples = self._samples(f"{name}_bucket") if self.admin_port is not None else []
        return [(float(labels.split('"')[1]), value) for labels, value in samples]

    def _samples(self, name: str) -> list[tuple[str, float]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = [
            line.removeprefix(name).rpartition(" ")
            for line in lines
            if line.startswith((f"{name} ", f"{name}{{"))
        ]
        return [(labels, float(value)) for labels, _, value in found]

    def settle(self) -> None:
        """Wait until everything that was accepted is published."""
        if self.admin_port is None:
            return
        until = time.monotonic() + _SETTLE_WITHIN_S
        while self.metric("tms_bridge_outbox_events") or self.metric("tms_bridge_publishes_outstanding"):
            if time.monotonic() > until:
                raise LoadFailedError(
                    f"{self.title} did not publish what it took within {_SETTLE_WITHIN_S:g} s"
                )
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        port = self.target.port if self.admin_port is None else self.admin_port
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0) as probe:
                probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                status = probe.recv(12)[9:12]
        except OSError:
            return False
        return status == b"200" or (self.admin_port is None and bool(status))


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def bridge(amqp_url: str, *, journal: bool, program: Path = PROGRAM, name: str = "") -> Receiver:
    """Return a bridge with every feature on."""
    port, admin_port = free_port(), free_port()
    kind = "journal" if journal else "no disk"
    receiver = Receiver(
        name or ("bridge_journal" if journal else "bridge_no_disk"),
        f"TMS Bridge, {kind}",
        [str(program), "serve", "--config", "tms-bridge.toml"],
        Target(port, authorization=basic("Webhookuser", _PASSWORD)),
        admin_port=admin_port,
    )
    text = _CONFIGURATION.format(
        port=port, admin_port=admin_port, amqp_url=json.dumps(amqp_url), password=_PASSWORD
    )
    if journal:
        text += _OUTBOX.format(directory=json.dumps(str(receiver.directory / "outbox")))
    path = receiver.directory / "tms-bridge.toml"
    path.touch(mode=0o600)
    path.write_text(text)
    return receiver


def python_rival(name: str, title: str, script: str, amqp_url: str) -> Receiver:
    """Return a rival in Python."""
    port = free_port()
    command = [str(BUILD / "venv/bin/python"), str(RIVALS / script)]
    return Receiver(name, title, command, Target(port), {"PORT": str(port), "AMQP_URL": amqp_url})


def node_rival(amqp_url: str) -> Receiver:
    """Return the rival in JavaScript."""
    port = free_port()
    environment = {"PORT": str(port), "AMQP_URL": amqp_url, "NODE_ENV": "production"}
    command = ["node", str(BUILD / "node/server.js")]
    return Receiver("node", "Node Fastify + amqplib", command, Target(port), environment)
