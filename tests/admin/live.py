"""A bridge in a process of its own, whose broker is not there."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.waiting import until

from ports import free_port

_CONFIG = """
[http]
listen = "127.0.0.1:{http}"
shutdown_delay_s = 0
[admin]
listen = "127.0.0.1:{admin}"
[amqp]
urls = ["amqp://guest:guest@127.0.0.1:{broker}/"]
[outbox]
dir = "{directory}/outbox"
min_free_bytes = 0
[sources.contoso]
allow_from = ["any"]
[[sources.contoso.credentials]]
name = "a"
basic = {{ username = "u", password = "${{PASSWORD:-a-password-of-tests}}" }}
"""
AUTHORIZATION = b"Authorization: Basic dTphLXBhc3N3b3JkLW9mLXRlc3Rz\r\n"


class Live:
    """Where it listens, and whether it lives."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, http: int, admin: int) -> None:
        self.process = process
        self.log = log
        self.http = http
        self.admin = admin

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def webhook(self, number: int) -> int:
        """Send one event as TMS would; return the answer's status."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http)
        body = b'{"Id": %d, "ConfirmationStatusId": 7}' % number
        head = b"POST /webhooks/contoso/class-changed HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % len(
            body
        )
        writer.write(head + AUTHORIZATION + b"Connection: close\r\n\r\n" + body)
        status = int((await reader.readline()).split()[1])
        writer.close()
        await writer.wait_closed()
        return status

    def defects(self) -> list[str]:
        return [
            line for line in self.log.read_text().splitlines() if '"defect"' in line or "Traceback" in line
        ]


@asynccontextmanager
async def live_bridge(directory: Path) -> AsyncIterator[Live]:
    """Run `serve` for as long as the context lasts."""
    http, admin, broker = (free_port() for _ in range(3))
    config, log = directory / "tms-bridge.toml", directory / "log"
    config.write_text(_CONFIG.format(directory=directory, http=http, admin=admin, broker=broker))
    command = (sys.executable, "-m", "tms_bridge", "serve", "--config", str(config))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=subprocess.STDOUT)
    bridge = Live(process, log, http, admin)
    try:
        await until(lambda: '"ready"' in log.read_text() or not bridge.alive)
        yield bridge
    finally:
        if bridge.alive:
            process.terminate()
            await process.wait()
    assert "object at 0x" not in log.read_text()
