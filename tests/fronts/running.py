"""The shipped configurations of proxies, run before a bridge that runs."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests import certificates
from tests.bootstrap.running import AUTHORIZATION, bridge, configure
from tests.waiting import patience

from packages import find_front
from ports import free_port

FRONTS = Path(__file__).resolve().parents[2] / "deploy" / "fronts"
LISTED = "127.0.0.7"
STRANGER = "127.0.0.8"


class Front:
    """A proxy that listens."""

    def __init__(self, port: int, trusting: ssl.SSLContext) -> None:
        self._port = port
        self._trusting = trusting

    async def ask(self, source: str, raw: bytes) -> int:
        """Send bytes from this address; return the answer's status, 0 where it was closed."""
        async with patience():
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._trusting, local_addr=(source, 0)
            )
            writer.write(raw)
            try:
                line = await reader.readline()
            except ConnectionError:
                line = b""
            writer.close()
        return int(line.split()[1]) if line else 0


def webhook(number: int, *lines: str, before: bytes = b"") -> bytes:
    """Return a webhook with right credentials, these header lines, and these bytes before it."""
    body = json.dumps({"Id": number, "ConfirmationStatusId": 7})
    head = [
        *("POST /webhooks/contoso/class-changed HTTP/1.1", "Host: hooks.example.com"),
        *(f"Authorization: {AUTHORIZATION}", f"Content-Length: {len(body)}", *lines),
    ]
    return before + ("\r\n".join(head) + "\r\n\r\n" + body).encode()


@asynccontextmanager
async def front(directory: Path, name: str, *changes: tuple[str, str]) -> AsyncIterator[Front]:
    """Run a shipped configuration, with paths and ports of this test and these changes, before a bridge."""
    pair = certificates.make(directory, "front")
    (directory / "both.pem").write_text(pair.certificate.read_text() + pair.key.read_text())
    text, port = (FRONTS / name).read_text(), free_port()
    way = "proxy-protocol" if name == "haproxy-tcp.cfg" else "x-forwarded-for"
    async with bridge(_behind(directory, way)) as process:
        places = [
            *((":443", f"127.0.0.1:{port}"), ("listen 443", f"listen 127.0.0.1:{port}")),
            *(
                ("127.0.0.1:8080", process.http),
                ("/etc/ssl/tms-bridge/both.pem", str(directory / "both.pem")),
            ),
            ("/etc/ssl/tms-bridge/fullchain.pem", str(pair.certificate)),
            *(("/etc/ssl/tms-bridge/privkey.pem", str(pair.key)), *changes),
        ]
        for old, new in places:
            text = text.replace(old, new)
        async with _running(directory, name, text):
            await _until_open(port)
            trusting = ssl.create_default_context(cafile=str(pair.certificate))
            yield Front(port, trusting)


def _behind(directory: Path, way: str) -> Path:
    path = configure(directory)
    text = path.read_text().replace(
        "[http]", f'[http]\nclient_address = "{way}"\ntrusted_proxies = ["127.0.0.1"]'
    )
    path.write_text(text.replace('["127.0.0.0/8"]', f'["{LISTED}"]'))
    return path


@asynccontextmanager
async def _running(directory: Path, name: str, text: str) -> AsyncIterator[None]:
    config = directory / name
    if name.startswith("nginx"):
        places = "".join(
            f"{kind}_temp_path {directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = f"daemon off; pid {directory}/pid; error_log stderr; events {{}}"
        text = f"{main} http {{ access_log off; {places}\n{text}}}"
        command: list[Path | str] = [find_front("nginx"), "-p", directory, "-c", config]
    else:
        command = [find_front("haproxy"), "-db", "-f", config]
    config.write_text(text)
    process = await asyncio.create_subprocess_exec(*command, cwd=directory)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _until_open(port: int) -> None:
    async with patience():
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
