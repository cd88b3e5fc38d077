import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage
from prometheus_client import CollectorRegistry

from tms_bridge.calls import Calls
from tms_bridge.http.health import Health
from tms_bridge.http.proxied import build_server
from tms_bridge.http.server import Connection, Server
from tms_bridge.http.sockets import open_sockets, start
from tms_bridge.log import Log
from tms_bridge.message import Message
from tms_bridge.metrics import Metrics
from tms_bridge.outbox.contract import Durable, Intake, Receipt, Waiter
from tms_bridge.settings.model import Basic, Credential, Http, Source
from tms_bridge.settings.model import Logging as LogSettings
from tms_bridge.web import AccessLog, Routes, Webhooks

AUTHORIZATION = "Basic V2ViaG9va3VzZXI6d2ViaG9va3Bhc3N3b3Jk"
BODY = b'{"Id": 7, "ConfirmationStatusId": 7}'
SOURCE = Source(
    allow_from=("127.0.0.0/8",),
    credentials=(
        Credential(name="2026", basic=Basic(username="Webhookuser", password="webhookpassword")),
        Credential(name="key", headers={"X-Api-Key": "s3cret-key"}),
    ),
)


class Shelf:
    """An outbox of lists, whose moments a test can decide."""

    durable: Durable = "outbox"

    def __init__(self) -> None:
        self.accepted: list[Message] = []
        self.held: list[Message] = []
        self.quarantined: list[Message] = []
        self.answered: list[int] = []
        self.taken_back: list[int] = []
        self.unanswered_receipts: dict[str, Receipt] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.full: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, digest: str, waiter: Waiter) -> bool:
        found = self.unanswered_receipts.get(digest)
        if found is not None:
            again = Receipt(found.seq, found.id, found.routing_key, digest, first=found)
            self._later(waiter, lambda: self._answer(again, waiter))
        return found is not None

    def take(self, message: Message, waiter: Waiter) -> None:
        self._keep(self.accepted, message, message.routing_key, waiter)

    def hold(self, message: Message, waiter: Waiter) -> None:
        self._keep(self.held, message, "", waiter)

    def quarantine(self, message: Message, waiter: Waiter) -> None:
        def keep() -> None:
            self.quarantined.append(message)
            waiter.quarantined(message.id)

        self._later(waiter, keep)

    def unanswered(self, receipt: Receipt) -> None:
        self.taken_back.append(receipt.seq)
        self.unanswered_receipts[receipt.digest] = receipt

    def _keep(self, shelf: list[Message], message: Message, routing_key: str, waiter: Waiter) -> None:
        if self.full is not None:
            raise self.full

        def keep() -> None:
            shelf.append(message)
            self._answer(Receipt(len(shelf), message.id, routing_key, message.digest), waiter)

        self._later(waiter, keep)

    def _answer(self, receipt: Receipt, waiter: Waiter) -> None:
        self.answered.append(receipt.seq)
        self.unanswered_receipts.pop(receipt.digest, None)
        waiter.durable(receipt)

    def _later(self, waiter: Waiter, keep: Callable[[], None]) -> None:
        async def run() -> None:
            await self.open.wait()
            if self.failure is not None:
                waiter.failed(self.failure)
            else:
                keep()

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Lines:
    def __init__(self) -> None:
        self.raw = b""

    def write(self, line: bytes) -> int:
        self.raw += line
        return len(line)

    def of(self, event: str) -> list[dict[str, object]]:
        return [line for line in map(json.loads, self.raw.splitlines()) if line["event"] == event]


@dataclass
class Answered:
    """A parsed HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


async def read_answer(reader: asyncio.StreamReader) -> Answered:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    for name, value in (line.split(": ", 1) for line in head[1:] if line):
        headers[name.lower()] = value
    body = await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
    return Answered(int(head[0].split()[1]), headers, body)


@dataclass
class Bridge:
    """A running webhook listener, with what a test looks at."""

    port: int
    shelf: Shelf
    lines: Lines
    metrics: Metrics
    health: Health
    webhooks: Webhooks
    server: Server
    short: list[str]
    """The paths of the requests that took the short way."""
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.connections.append(writer)
        return reader, writer

    async def ask(self, raw: bytes) -> Answered:
        reader, writer = await self.connect()
        writer.write(raw)
        return await read_answer(reader)

    async def post(
        self, body: bytes = BODY, path: str = "/webhooks/contoso/class-changed", **headers: str
    ) -> Answered:
        return await self.ask(request(body, path, **headers))

    def refused(self, reason: str) -> float:
        labels = {"listener": "http", "reason": reason}
        return self.metrics.registry.get_sample_value("tms_bridge_connections_refused_total", labels) or 0.0

    def count(self, outcome: str, source: str = "contoso", trigger: str = "class") -> float:
        labels = {"source": source, "trigger": trigger, "outcome": outcome}
        return self.metrics.registry.get_sample_value("tms_bridge_webhook_requests_total", labels) or 0.0


def request(
    body: bytes = BODY,
    path: str = "/webhooks/contoso/class-changed",
    method: str = "POST",
    **headers: str,
) -> bytes:
    """Build a request; header names are written with underscores, and an empty value leaves one out."""
    lines = {"Host": "bridge", "Authorization": AUTHORIZATION, "Content-Length": str(len(body))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


@asynccontextmanager
async def serve(
    http: Http, sources: dict[str, Source], outbox: Intake | None = None, *, short_way: bool = True
) -> AsyncIterator[Bridge]:
    """Run a listener for as long as the context lasts, with the short way or without."""
    shelf, lines, metrics, health = Shelf(), Lines(), Metrics(CollectorRegistry()), Health([])
    health.started = True
    log = AccessLog(metrics.intake, Log(LogSettings(), lines), Calls())
    webhooks = Webhooks(http, Routes(http, sources), outbox or shelf, health, log)
    short: list[str] = []

    def take(message: RawRequestMessage, content: StreamReader, connection: Connection) -> None:
        short.append(message.path)
        webhooks.take(message, content, connection)

    sockets = open_sockets("http.listen", "127.0.0.1:0")
    server = build_server(
        webhooks.handle,
        http,
        webhooks.note_refused,
        take if short_way else None,
        metrics=metrics.connections,
    )
    runner = await start(server, sockets, finish_s=2)
    port = sockets[0].getsockname()[1]
    bridge = Bridge(port, shelf, lines, metrics, health, webhooks, server, short)
    try:
        yield bridge
    finally:
        for writer in bridge.connections:
            writer.close()
        shelf.open.set()
        await runner.cleanup()
