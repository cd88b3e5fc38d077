"""A TMS Bridge as a process of its own, with a configuration and an outbox in a directory of its own."""

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from janitor import Janitor
from rabbitmq import free_port

_TAIL_LINES = 20

_CONFIGURATION = """\
[http]
listen = {listen}
shutdown_delay_s = {shutdown_delay_s}
[admin]
listen = {admin_listen}
[amqp]
urls = [{amqp_url}]
[outbox]
dir = {outbox}
[sources.contoso]
allow_from = ["skillable-tms", "127.0.0.1", "::1"]
[[sources.contoso.credentials]]
name = "demo"
basic = {{ username = "Webhookuser", password = {password} }}
{more}
"""


class BridgeFailedError(Exception):
    """The bridge did not do what was asked; the text ends with the tail of its log."""


class Bridge:
    """One `tms-bridge serve`; use it as a context manager, or call `start` and `close`.

    Attributes:
        configuration: the file that it runs with.
        url: where TMS would call.
        admin_url: where its probes and metrics are.
        password: the password of `Webhookuser`, in the source `contoso`.
    """

    def __init__(self, amqp_url: str, *, more: str = "", shutdown_delay_s: float = 0.0) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="tms-bridge-"))
        self._janitor = Janitor(self._directory)
        self._process: subprocess.Popen[bytes] | None = None
        port, admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self.password = secrets.token_urlsafe(12)
        self.outbox = self._directory / "outbox"
        self.configuration = self._directory / "tms-bridge.toml"
        # A JSON string is a TOML string too.
        text = _CONFIGURATION.format(
            listen=json.dumps(f"127.0.0.1:{port}"),
            admin_listen=json.dumps(f"127.0.0.1:{admin_port}"),
            amqp_url=json.dumps(amqp_url.replace("${", "$${")),
            outbox=json.dumps(str(self.outbox)),
            password=json.dumps(self.password),
            shutdown_delay_s=shutdown_delay_s,
            more=more,
        )
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(text)

    @property
    def authorization(self) -> str:
        """The value of the Authorization header that TMS sends."""
        return "Basic " + base64.urlsafe_b64encode(f"Webhookuser:{self.password}".encode()).decode()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    @property
    def log(self) -> str:
        """Everything that it has logged, over all its starts."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `tms-bridge` with this configuration."""
        program = str(Path(sys.executable).with_name("tms-bridge"))
        return [program, *arguments, "--config", str(self.configuration)]

    def start(self, *, timeout_s: float = 20.0) -> None:
        """Start it and wait until it is ready."""
        log = self._directory / "log"
        command = self.command("serve")
        self._process = self._janitor.spawn(command, env=os.environ, cwd=self._directory, output=log)
        self._wait_ready(timeout_s)

    def stop(self, *, timeout_s: float = 30.0) -> int:
        """Stop it in order (SIGTERM) and return its exit code."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            message = f"the bridge did not stop within {timeout_s:g} s:\n{self._tail()}"
            raise BridgeFailedError(message) from None
        self._ended(process)
        return code

    def kill(self) -> None:
        """Kill it at once (SIGKILL); its outbox stays for the next `start`."""
        process = self._running()
        process.kill()
        process.wait()
        self._ended(process)

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
        try:
            if self._process is not None and self._process.poll() is None:
                self.stop()
        finally:
            self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BridgeFailedError("the bridge is not running; call start first")
        return self._process

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        self._janitor.forget(process)
        self._process = None

    def _wait_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not _answers(f"{self.admin_url}/readyz"):
            code = self._running().poll()
            if code is not None:
                raise BridgeFailedError(f"the bridge ended with exit code {code}:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise BridgeFailedError(f"the bridge was not ready within {timeout_s:g} s:\n{self._tail()}")
            time.sleep(0.02)

    def _tail(self) -> str:
        return "\n".join(self.log.splitlines()[-_TAIL_LINES:])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0):  # noqa: S310 - a URL of our own making
            return True
    except (urllib.error.URLError, OSError):
        return False


def tms_settings(bridge: Bridge, source: str, url: str, more: Sequence[str] = ()) -> str:
    """Return what `tms-bridge tms-settings` says for a source, secrets included."""
    command = bridge.command("tms-settings", "--source", source, "--url", url, "--reveal", *more)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BridgeFailedError(f"tms-settings failed:\n{done.stderr}")
    return done.stdout
