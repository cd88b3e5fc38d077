"""The bridge as a process of its own, as an operator runs it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.waiting import patience

AUTHORIZATION = "Basic V2ViaG9va3VzZXI6d2ViaG9va3Bhc3N3b3Jk"
NOWHERE = "amqp://tms:s3cret@127.0.0.1:1/"
"""A broker that is not there."""

CONFIG = """
[http]
listen = "127.0.0.1:{port}"
shutdown_delay_s = {delay}
drain_timeout_s = 5
[admin]
listen = "127.0.0.1:0"
[amqp]
urls = ["{url}"]
[[amqp.queues]]
name = "all"
bindings = ["tms.#"]
{outbox}
[sources.contoso]
allow_from = ["127.0.0.0/8"]
[[sources.contoso.credentials]]
name = "2026"
basic = {{ username = "Webhookuser", password = "${{TMS_PASSWORD}}" }}
"""


def configure(
    directory: Path, url: str = NOWHERE, *, port: int = 0, delay: float = 0, disk: bool = True
) -> Path:
    outbox = f'[outbox]\ndir = "{directory / "outbox"}"\nmin_free_bytes = 0' if disk else ""
    path = directory / "tms-bridge.toml"
    path.write_text(CONFIG.format(url=url, port=port, delay=delay, outbox=outbox))
    return path


@dataclass
class Process:
    """A bridge that runs."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, object]]
    ready: asyncio.Event
    http: str = ""
    admin: str = ""

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = json.loads(raw)
            self.lines.append(line)
            if line["event"] == "ready":
                self.http, self.admin = line["http"][0], line["admin"][0]
                self.ready.set()

    async def until(self, event: str, count: int = 1) -> dict[str, object]:
        """Wait until it has logged this so often; return the last of these lines."""
        async with patience():
            while True:
                lines = [line for line in self.lines if line["event"] == event]
                if len(lines) >= count:
                    return lines[count - 1]
                await asyncio.sleep(0.01)

    async def get(self, path: str, *, admin: bool = True) -> tuple[int, str]:
        address = self.admin if admin else self.http
        return await ask(address, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    async def ask(self, raw: bytes) -> tuple[int, str]:
        """Send bytes as they are; return status and body of the answer."""
        return await ask(self.http, raw)

    async def post(self, entity: int, source: str = "contoso") -> tuple[int, str]:
        return await ask(self.http, webhook(entity, source))

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self) -> int:
        async with patience():
            return await self.process.wait()


def webhook(entity: int, source: str = "contoso") -> bytes:
    body = json.dumps({"Id": entity, "ConfirmationStatusId": 7})
    return (
        f"POST /webhooks/{source}/class-changed HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTHORIZATION}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def ask(address: str, raw: bytes) -> tuple[int, str]:
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(raw)
        async with patience():
            answer = (await reader.read()).decode()
    finally:
        writer.close()
    return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]


@asynccontextmanager
async def bridge(
    config: Path,
    *,
    cwd: Path | None = None,
    descriptors: int = 0,
    variables: Mapping[str, str] = MappingProxyType({}),
    **environ: str,
) -> AsyncIterator[Process]:
    """Run `tms-bridge serve` for as long as the context lasts, and kill it if it is still there then."""
    process = await start(config, cwd=cwd, descriptors=descriptors, variables=variables, **environ)
    running = Process(process, [], asyncio.Event())
    reading = asyncio.create_task(running.read())
    try:
        async with patience():
            await running.ready.wait()
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def start(
    config: Path,
    *,
    cwd: Path | None = None,
    descriptors: int = 0,
    variables: Mapping[str, str] = MappingProxyType({}),
    **environ: str,
) -> asyncio.subprocess.Process:
    limit = ("prlimit", f"--nofile={descriptors}:{descriptors}") if descriptors else ()
    return await asyncio.create_subprocess_exec(
        *limit,
        sys.executable,
        "-m",
        "tms_bridge",
        "serve",
        "--config",
        str(config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, "TMS_PASSWORD": "webhookpassword", **variables, **environ},
    )
