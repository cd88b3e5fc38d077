"""The bridge under siege: a process with little memory, few descriptors, and two listeners."""

import json
import os
import ssl
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from tests.certificates import Pair
from tests.siege.attacks import HONEST, LEAKED_KEY
from tests.siege.cage import Cage

from janitor import Janitor
from ports import free_port
from program import Program, ProgramFailedError

MEMORY_BYTES: Final = 256 * 1024 * 1024
DESCRIPTORS: Final = 1024
QUEUE: Final = "siege"

_CONFIGURATION: Final = """\
[http]
listen = "127.0.0.1:{http}"
client_address = "{address}"
trusted_proxies = ["127.0.4.0/24"]
shutdown_delay_s = 0
[admin]
listen = "127.0.0.1:{admin}"
token = "${{ADMIN_TOKEN}}"
[amqp]
urls = [{url}]
[[amqp.queues]]
name = "{queue}"
bindings = ["tms.#"]
[outbox]
dir = "outbox"
min_free_bytes = 0
[sources.contoso]
allow_from = ["{honest}"]
[[sources.contoso.credentials]]
name = "2026"
basic = {{ username = "Webhookuser", password = "${{TMS_PASSWORD}}" }}
[sources.fabrikam]
allow_from = ["127.0.2.0/24"]
[[sources.fabrikam.credentials]]
name = "leaked"
headers = {{ X-Key = "${{LEAKED_KEY}}" }}
{tls}
"""


class BesiegedFailedError(ProgramFailedError):
    """The bridge did not do what was asked; the text ends with the tail of its log."""


class Besieged(Program):
    """One `tms-bridge serve` in a cage, where there is one; use it as a context manager.

    Attributes:
        tls: the listeners that are encrypted.
    """

    title = "the bridge"
    failure = BesiegedFailedError

    def __init__(self, amqp_url: str, cage: Cage | None, pair: Pair, tls: frozenset[str]) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="tms-siege-"))
        tidy = f"for _ in 1 2 3 4 5; do rmdir {cage.path} && break; sleep 0.1; done" if cage else ":"
        super().__init__(Janitor(self._directory, command=tidy))
        self.tls = tls
        self.http, self.admin = free_port(), free_port()
        self._cage = cage
        self._certificate = pair.certificate
        self._context = ssl.create_default_context(cafile=pair.certificate)
        self._configuration = self._directory / "tms-bridge.toml"
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(
            _CONFIGURATION.format(
                http=self.http,
                admin=self.admin,
                url=json.dumps(amqp_url.replace("${", "$${")),
                queue=QUEUE,
                # The header stands before TLS, so that the two do not go together.
                address="peer" if "http" in tls else "proxy-protocol",
                honest=HONEST,
                tls="".join(pair.as_toml(f"{listener}.tls") for listener in sorted(tls)),
            )
        )

    @property
    def log(self) -> str:
        """Everything that it has logged."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def log_file(self) -> Path:
        """Where its log goes."""
        return self._directory / "log"

    @property
    def environment(self) -> dict[str, str]:
        """What its process, and a simulation that believes its certificate, need in their environment."""
        secrets = {"ADMIN_TOKEN": "operator", "TMS_PASSWORD": "webhookpassword", "LEAKED_KEY": LEAKED_KEY}
        return {**os.environ, **secrets, "SSL_CERT_FILE": str(self._certificate)}

    def url(self, listener: str) -> str:
        """Return where a listener is reached."""
        port = {"http": self.http, "admin": self.admin}[listener]
        return f"http{'s' if listener in self.tls else ''}://127.0.0.1:{port}"

    def command(self, *arguments: str) -> list[str]:
        """Return a command line of `tms-bridge` with this configuration."""
        return [sys.executable, "-m", "tms_bridge", *arguments, "--config", str(self._configuration)]

    def start(self) -> None:
        """Start it within its limits, and wait until it is ready."""
        entrance = self._cage.entrance if self._cage else "/dev/null"
        command = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(entrance)]
        command += ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *self.command("serve")]
        self._process = self._janitor.spawn(
            command, env=self.environment, cwd=self._directory, output=self.log_file
        )
        self.wait_ready(timeout_s=60.0)

    def is_ready(self) -> bool:
        """Tell whether it takes webhooks, and has declared its queue."""
        try:
            self.get("admin", "/readyz", timeout_s=1.0)
        except OSError:
            return False
        return '"broker connected"' in self.log

    def get(self, listener: str, path: str, *, timeout_s: float) -> str:
        """Read from a listener; raises OSError where it does not answer 2xx in time."""
        url = self.url(listener) + path
        context = self._context if listener in self.tls else None
        with urllib.request.urlopen(url, timeout=timeout_s, context=context) as response:  # noqa: S310 - ours
            text: str = response.read().decode()
        return text

    def forget_peak(self) -> None:
        """Let the greatest memory be measured anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_s(self) -> float:
        """Return the seconds of a processor that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self, what: str) -> int:
        """Return its resident memory: `VmRSS` now, `VmHWM` at most; raises OSError where it is gone."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) * 1024

    def close(self) -> None:
        """End it and remove what it made."""
        try:
            if self.running:
                self.stop()
        finally:
            super().close()
