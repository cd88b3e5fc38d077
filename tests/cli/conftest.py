import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tms_bridge.cli.program import program

CONFIG = """
[amqp]
urls = ["amqp://guest:guest@127.0.0.1:{port}/"]
[admin]
listen = "127.0.0.1:{admin_port}"
[outbox]
dir = "{directory}/outbox"
[sources.contoso]
allow_from = ["skillable-tms", "203.0.113.0/24"]
[[sources.contoso.credentials]]
name = "2026"
basic = {{ username = "Webhookuser", password = "${{TMS_PASSWORD:-webhookpassword}}" }}
[[sources.contoso.credentials]]
name = "api-key"
headers = {{ X-Api-Key = "${{CONTOSO_KEY:-k3y}}", X-Tenant = "contoso" }}
"""

QUEUE = '[[amqp.queues]]\nname = "crm"\nbindings = ["tms.class.*", "tms.*.completed"]\n'

Invoke = Callable[..., Result]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def config(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> Path:
    """A usable configuration whose broker and admin listener are not there."""
    path = tmp_path / "tms-bridge.toml"
    port, admin_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    path.write_text(CONFIG.format(directory=tmp_path, port=port, admin_port=admin_port))
    return path


@pytest.fixture
def invoke() -> Invoke:
    """Run a command within this process."""

    def invoke(*args: object, input: bytes | None = None) -> Result:  # noqa: A002 - click's own name for it
        result = CliRunner().invoke(program, [str(arg) for arg in args], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command as its user does, in a process of its own."""

    def run(
        *args: object,
        input: str | None = None,  # noqa: A002 - as above
        cwd: Path = tmp_path,
        **environ: str,
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tms_bridge", *map(str, args)],
            check=False,
            capture_output=True,
            text=True,
            input=input,
            cwd=cwd,
            env={**os.environ, **environ},
            timeout=60,
        )

    return run


@pytest.fixture
def with_broker(config: Path, vhost: str) -> Path:
    """A configuration whose broker is there, on a virtual host of its own."""
    lines = config.read_text().splitlines()
    lines = [f'urls = ["{vhost}"]' if line.startswith("urls") else line for line in lines]
    config.write_text("\n".join(lines).replace("[outbox]", QUEUE + "[outbox]"))
    return config
