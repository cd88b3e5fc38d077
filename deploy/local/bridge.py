"""A TMS Bridge as a process of its own, with a configuration and an outbox in a directory of its own."""

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from janitor import Janitor
from ports import free_port
from program import Program, ProgramFailedError

_CONFIGURATION = """\
[http]
listen = {listen}
shutdown_delay_s = {shutdown_delay_s}
drain_timeout_s = {drain_timeout_s}
[admin]
listen = {admin_listen}
[amqp]
urls = {amqp_urls}
[outbox]
dir = {outbox}
[sources.contoso]
allow_from = ["skillable-tms", "127.0.0.1", "::1"]
[[sources.contoso.credentials]]
name = "demo"
basic = {{ username = "Webhookuser", password = {password} }}
{more}
"""


_CONNECTED = "tms_bridge_broker_connected 1.0"


class BridgeFailedError(ProgramFailedError):
    """The bridge did not do what was asked; the text ends with the tail of its log."""


class Address(NamedTuple):
    """Where a bridge listens, and the password that it asks for."""

    port: int
    admin_port: int
    password: str


class Bridge(Program):
    """One `tms-bridge serve`; use it as a context manager, or call `start` and `close`.

    Attributes:
        configuration: the file that it runs with.
        url: where TMS would call.
        admin_url: where its probes and metrics are.
        password: the password of `Webhookuser`, in the source `contoso`.
    """

    title = "the bridge"
    failure = BridgeFailedError

    def __init__(  # noqa: PLR0913 - every argument but the first has a default
        self,
        amqp_url: str,
        *,
        others: Sequence[str] = (),
        more: str = "",
        shutdown_delay_s: float = 0.0,
        drain_timeout_s: float = 20.0,
        address: Address | None = None,
    ) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="tms-bridge-"))
        super().__init__(Janitor(self._directory))
        port, admin_port, self.password = address or Address(
            free_port(), free_port(), secrets.token_urlsafe(12)
        )
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self.outbox = self._directory / "outbox"
        self.configuration = self._directory / "tms-bridge.toml"
        # A JSON string is a TOML string too.
        text = _CONFIGURATION.format(
            listen=json.dumps(f"127.0.0.1:{port}"),
            admin_listen=json.dumps(f"127.0.0.1:{admin_port}"),
            amqp_urls=json.dumps([url.replace("${", "$${") for url in (amqp_url, *others)]),
            outbox=json.dumps(str(self.outbox)),
            password=json.dumps(self.password),
            shutdown_delay_s=shutdown_delay_s,
            drain_timeout_s=drain_timeout_s,
            more=more,
        )
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(text)

    @property
    def authorization(self) -> str:
        """The value of the Authorization header that TMS sends."""
        return "Basic " + base64.urlsafe_b64encode(f"Webhookuser:{self.password}".encode()).decode()

    @property
    def log(self) -> str:
        """Everything that it has logged, over all its starts."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `tms-bridge` with this configuration."""
        program = str(Path(sys.executable).with_name("tms-bridge"))
        return [program, *arguments, "--config", str(self.configuration)]

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Start it and wait until it is ready."""
        log = self._directory / "log"
        command = self.command("serve")
        self._process = self._janitor.spawn(command, env=os.environ, cwd=self._directory, output=log)
        self.wait_ready(timeout_s=timeout_s)

    def is_ready(self) -> bool:
        """Tell whether it takes webhooks."""
        return _fetched(f"{self.admin_url}/readyz") is not None

    def wait_connected(self, *, timeout_s: float = 30.0) -> None:
        """Wait until it publishes, its exchanges declared; it is ready before that."""
        deadline = time.monotonic() + timeout_s
        while _CONNECTED not in (_fetched(f"{self.admin_url}/metrics") or "").splitlines():
            if not self.running or time.monotonic() > deadline:
                raise self._failed(f"did not reach its broker within {timeout_s:g} s")
            time.sleep(0.02)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.wait_connected()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.running:
                self.stop()
        finally:
            self.close()


def _fetched(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 - a URL of our own making
            text: str = answer.read().decode()
            return text
    except (urllib.error.URLError, OSError):
        return None


def tms_settings(bridge: Bridge, source: str, url: str, more: Sequence[str] = ()) -> str:
    """Return what `tms-bridge tms-settings` says for a source, secrets included."""
    command = bridge.command("tms-settings", "--source", source, "--url", url, "--reveal", *more)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BridgeFailedError(f"tms-settings failed:\n{done.stderr}")
    return done.stdout
