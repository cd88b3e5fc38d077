"""The bridge under test: a process of its own that can be started, stopped, killed and shaken."""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from janitor import Janitor
from ports import free_port
from program import Program, ProgramFailedError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "contoso"
AUTHORIZATION = "Basic V2ViaG9va3VzZXI6d2ViaG9va3Bhc3N3b3Jk"
MAX_OUTSTANDING = 64
"""Low, so that a copy too many shows."""

_CONFIGURATION = """\
[http]
listen = {listen}
shutdown_delay_s = {shutdown_delay_s}
drain_timeout_s = 3
max_in_flight = {max_in_flight}
[admin]
listen = {admin}
[amqp]
urls = {urls}
heartbeat_s = {heartbeat_s}
confirm_timeout_s = 20
max_outstanding = {max_outstanding}
{outbox}
[sources.contoso]
allow_from = ["127.0.0.0/8"]
[[sources.contoso.credentials]]
name = "2026"
basic = {{ username = "Webhookuser", password = "${{TMS_PASSWORD}}" }}
{more}
"""


class SubjectFailedError(ProgramFailedError):
    """The bridge did not do what was asked; the text ends with the tail of its log."""


class Subject(Program):
    """One `tms-bridge serve`; use it as a context manager, or call `start` and `close`.

    Attributes:
        url: where TMS calls, the same after every start.
        outbox: its directory, also where the configuration has none.
        prefix: words before the command, as `nsenter` wants them.
    """

    title = "the bridge"
    failure = SubjectFailedError

    def __init__(
        self,
        urls: Sequence[str],
        *,
        disk: bool = True,
        outbox: Path | None = None,
        outbox_options: str = "min_free_bytes = 0",
        shutdown_delay_s: float = 0.5,
        heartbeat_s: int = 2,
        max_outstanding: int = MAX_OUTSTANDING,
        max_in_flight: int = 2000,
        more: str = "",
        prefix: Sequence[str] = (),
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tms-faults-"))
        super().__init__(Janitor(self.directory))
        self.outbox = outbox or self.directory / "outbox"
        self.prefix = prefix
        self.max_outstanding = max_outstanding
        listen, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.url, self.admin_url = f"http://{listen}", f"http://{admin}"
        self.configuration = self.directory / "tms-bridge.toml"
        self._control = self.directory / "control"
        self._probe = "/readyz"
        self._clock_s = "0"
        self._log = self.directory / "log"
        # A JSON string or list is a TOML one too.
        text = _CONFIGURATION.format(
            listen=json.dumps(listen),
            admin=json.dumps(admin),
            urls=json.dumps([url.replace("${", "$${") for url in urls]),
            shutdown_delay_s=shutdown_delay_s,
            heartbeat_s=heartbeat_s,
            max_outstanding=max_outstanding,
            max_in_flight=max_in_flight,
            outbox=f"[outbox]\ndir = {json.dumps(str(self.outbox))}\n{outbox_options}" if disk else "",
            more=more,
        )
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(text)

    @property
    def log(self) -> str:
        """Everything that it has logged, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def events(self) -> list[Mapping[str, object]]:
        """The lines of its log, those that are JSON."""
        lines: list[Mapping[str, object]] = []
        for line in self.log.splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
        return lines

    @property
    def environment(self) -> dict[str, str]:
        """What its process and its command line need in their environment."""
        known = {"TMS_PASSWORD": "webhookpassword", "PYTHONPATH": str(ROOT), "SHAKEN_CLOCK_S": self._clock_s}
        return os.environ | known

    def start(self, *, wait: bool = True, probe: str = "/readyz", timeout_s: float = 60.0) -> None:
        """Start it, and wait until it answers this probe unless told otherwise."""
        self._probe = probe
        command = [*self.prefix, sys.executable, "-m", "tests.faults.shaken", str(self._control)]
        command += ["serve", "--config", str(self.configuration)]
        self._process = self._janitor.spawn(command, env=self.environment, cwd=ROOT, output=self._log)
        if wait:
            self.wait_ready(timeout_s=timeout_s)

    def is_ready(self) -> bool:
        """Tell whether it answers the probe that its start waits for."""
        return self.answers(self._probe)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of `tms-bridge` with this configuration."""
        program = [*self.prefix, sys.executable, "-m", "tms_bridge", *arguments]
        program += ["--config", str(self.configuration)]
        return subprocess.run(program, env=self.environment, capture_output=True, text=True, check=False)

    def shake(self, line: str) -> None:
        """Put a line of `tests.faults.shaken` in force; return when it is."""
        if line.startswith("clock "):  # the machine's clock outlives the bridge
            self._clock_s = line.removeprefix("clock ")
        if self._ask(line) != "ok\n":
            raise SubjectFailedError(f"the bridge did not take {line!r}:\n{self.tail()}")

    def tasks(self) -> int:
        """Return how many asyncio tasks it has; raises OSError where it does not answer."""
        return int(self._ask("tasks"))

    def _ask(self, line: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5.0)
            connection.connect(str(self._control))
            connection.sendall(f"{line}\n".encode())
            return connection.recv(16).decode()

    def answers(self, path: str) -> bool:
        """Tell whether a probe of the admin listener answers 2xx."""
        try:
            self.get(path)
        except OSError:
            return False
        return True

    def get(self, path: str) -> str:
        """Return what the admin listener answers; raises OSError where it does not."""
        with urllib.request.urlopen(self.admin_url + path, timeout=2.0) as response:  # noqa: S310 - our own
            text: str = response.read().decode()
        return text

    def metrics(self) -> dict[str, float]:
        """Return the metrics by name and labels; raises OSError where it does not answer."""
        lines = (line.rpartition(" ") for line in self.get("/metrics").splitlines() if line[:1] != "#")
        return {name: float(value) for name, _, value in lines}

    def rss_bytes(self) -> int:
        """Return its resident memory; raises OSError where it is gone."""
        return self._memory_bytes("VmRSS:")

    def peak_rss_bytes(self) -> int:
        """Return the most resident memory since its start; raises OSError where it is gone."""
        return self._memory_bytes("VmHWM:")

    def open_descriptors(self) -> int:
        """Return how many descriptors it has open; raises OSError where it is gone."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - names, and on each sample: cheap

    def limit_descriptors(self, most: int | None) -> None:
        """Let it have no more descriptors than so many (setrlimit); None: as many as at its start."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (soft if most is None else most, hard))

    def _memory_bytes(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(name)[2].split()[0]) * 1024
