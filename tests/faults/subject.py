"""The bridge under test: a process of its own that can be started, stopped, killed and shaken."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from janitor import Janitor
from rabbitmq import free_port

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "contoso"
AUTHORIZATION = "Basic V2ViaG9va3VzZXI6d2ViaG9va3Bhc3N3b3Jk"
MAX_OUTSTANDING = 64
"""Low, so that a copy too many shows."""

_CONFIGURATION = """\
[http]
listen = {listen}
shutdown_delay_s = 0.5
drain_timeout_s = 3
max_in_flight = 2000
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


class SubjectFailedError(Exception):
    """The bridge did not do what was asked; the text ends with the tail of its log."""


class Subject:
    """One `tms-bridge serve`; use it as a context manager, or call `start` and `close`.

    Attributes:
        url: where TMS calls, the same after every start.
        outbox: its directory, also where the configuration has none.
        prefix: words before the command, as `nsenter` wants them.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        disk: bool = True,
        outbox: Path | None = None,
        outbox_options: str = "min_free_bytes = 0",
        heartbeat_s: int = 2,
        max_outstanding: int = MAX_OUTSTANDING,
        more: str = "",
        prefix: Sequence[str] = (),
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tms-faults-"))
        self._janitor = Janitor(self.directory)
        self._process: subprocess.Popen[bytes] | None = None
        self.outbox = outbox or self.directory / "outbox"
        self.prefix = prefix
        self.max_outstanding = max_outstanding
        listen, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.url, self.admin_url = f"http://{listen}", f"http://{admin}"
        self.configuration = self.directory / "tms-bridge.toml"
        self._control = self.directory / "control"
        self._log = self.directory / "log"
        # A JSON string or list is a TOML one too.
        text = _CONFIGURATION.format(
            listen=json.dumps(listen),
            admin=json.dumps(admin),
            urls=json.dumps([url.replace("${", "$${") for url in urls]),
            heartbeat_s=heartbeat_s,
            max_outstanding=max_outstanding,
            outbox=f"[outbox]\ndir = {json.dumps(str(self.outbox))}\n{outbox_options}" if disk else "",
            more=more,
        )
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(text)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._started().pid

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
        return {**os.environ, "TMS_PASSWORD": "webhookpassword", "PYTHONPATH": str(ROOT)}

    def start(self, *, wait: bool = True, probe: str = "/readyz", timeout_s: float = 20.0) -> None:
        """Start it, and wait until it answers this probe unless told otherwise."""
        command = [*self.prefix, sys.executable, "-m", "tests.faults.shaken", str(self._control)]
        command += ["serve", "--config", str(self.configuration)]
        self._process = self._janitor.spawn(command, env=self.environment, cwd=ROOT, output=self._log)
        if wait:
            self.wait_for(probe, timeout_s=timeout_s)

    def wait_for(self, probe: str, *, timeout_s: float = 20.0) -> None:
        """Wait until it answers this probe of the admin listener."""
        deadline = time.monotonic() + timeout_s
        while not self.answers(probe):
            if (code := self._started().poll()) is not None:
                raise SubjectFailedError(f"the bridge ended with exit code {code}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise SubjectFailedError(
                    f"the bridge did not answer {probe} in {timeout_s:g} s:\n{self.tail()}"
                )
            time.sleep(0.02)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of `tms-bridge` with this configuration."""
        program = [*self.prefix, sys.executable, "-m", "tms_bridge", *arguments]
        program += ["--config", str(self.configuration)]
        return subprocess.run(program, env=self.environment, capture_output=True, text=True, check=False)

    def terminate(self) -> None:
        """Ask it to stop in order (SIGTERM), and do not wait."""
        self._started().send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it at once (SIGKILL); its outbox stays for the next `start`."""
        self._started().kill()
        self.wait()

    def wait(self, *, timeout_s: float = 30.0) -> int:
        """Wait until it has ended, for whatever reason, and return its exit code."""
        process = self._started()
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise SubjectFailedError(f"the bridge did not end in {timeout_s:g} s:\n{self.tail()}") from None
        self._janitor.forget(process)
        self._process = None
        return code

    def stop(self, *, timeout_s: float = 30.0) -> int:
        """Stop it in order and return its exit code."""
        self.terminate()
        return self.wait(timeout_s=timeout_s)

    def shake(self, line: str) -> None:
        """Put a line of `tests.faults.shaken` in force; return when it is."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5.0)
            connection.connect(str(self._control))
            connection.sendall(f"{line}\n".encode())
            answer = connection.recv(16)
        if answer != b"ok\n":
            raise SubjectFailedError(f"the bridge did not take {line!r}:\n{self.tail()}")

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
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def tail(self, lines: int = 20) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.splitlines()[-lines:])

    def close(self) -> None:
        """End it if it runs, and remove its directory."""
        self._janitor.clean()
        if self._process is not None:
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SubjectFailedError("the bridge is not running; call start first")
        return self._process
