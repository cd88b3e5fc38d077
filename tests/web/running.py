import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from tms_bridge.http.feed import Feed
from tms_bridge.http.health import Health
from tms_bridge.http.proxied import build_server
from tms_bridge.http.server import Server, start
from tms_bridge.http.sockets import open_sockets
from tms_bridge.log import Log
from tms_bridge.message import Message
from tms_bridge.metrics import Metrics
from tms_bridge.outbox.contract import Durable, Intake, Quarantined, Receipt, Waiter
from tms_bridge.settings.model import Basic, Credential, Http, Source
from tms_bridge.settings.model import Log as LogSettings
from tms_bridge.web import EventIds, Reception, Record, Routes, Webhooks

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
    """An outbox of a list, whose moments a test can decide."""

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
        self.fast: list[Message] = []
        self._handing_over: set[asyncio.Task[None]] = set()

    def knows(self, digest: str) -> bool:
        return digest in self.unanswered_receipts

    def take(self, message: Message, waiter: Waiter) -> None:
        if self.full is not None:
            raise self.full
        self.fast.append(message)
        task = asyncio.create_task(self._hand_over(message, waiter))
        self._handing_over.add(task)
        task.add_done_callback(self._handing_over.discard)

    @staticmethod
    def unanswered_receipt(message: Message, seq: int) -> Receipt:
        return Receipt(seq, message.id, message.routing_key, message.digest)

    async def _hand_over(self, message: Message, waiter: Waiter) -> None:
        try:
            receipt = await self._keep(self.accepted, message, message.routing_key)
        except Exception as error:  # noqa: BLE001 - whatever a test has set
            waiter.failed(error)
        else:
            self.answering(receipt)
            waiter.durable(receipt)

    async def recall(self, digest: str) -> Receipt | None:
        found = self.unanswered_receipts.get(digest)
        if found is None:
            return None
        await self.open.wait()
        return Receipt(found.seq, found.id, found.routing_key, digest, duplicate=True)

    async def accept(self, message: Message) -> Receipt:
        return await self._keep(self.accepted, message, message.routing_key)

    async def hold(self, message: Message) -> Receipt:
        return await self._keep(self.held, message, "")

    async def quarantine(self, message: Message) -> Quarantined:
        await self._keep(self.quarantined, message, "")
        return Quarantined(message.id, 1)

    def answering(self, receipt: Receipt) -> None:
        self.answered.append(receipt.seq)
        self.unanswered_receipts.pop(receipt.digest, None)

    def unanswered(self, receipt: Receipt) -> None:
        self.taken_back.append(receipt.seq)
        self.unanswered_receipts[receipt.digest] = receipt

    async def _keep(self, shelf: list[Message], message: Message, routing_key: str) -> Receipt:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        shelf.append(message)
        receipt = Receipt(len(shelf), message.id, routing_key, message.digest)
        self.unanswered_receipts[message.digest] = receipt
        return receipt


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
    http: Http, sources: dict[str, Source], outbox: Intake | None = None, *, fast_path: bool = True
) -> AsyncIterator[Bridge]:
    """Run a listener for as long as the context lasts, with the fast path or without."""
    shelf, lines, metrics, health = Shelf(), Lines(), Metrics(CollectorRegistry()), Health([])
    health.started = True
    record = Record(metrics.intake, Log(LogSettings(), lines), Feed())
    webhooks = Webhooks(http, Routes(http, sources), Reception(outbox or shelf, EventIds()), health, record)
    sockets = open_sockets("http.listen", "127.0.0.1:0")
    server = build_server(
        webhooks.handle,
        http,
        webhooks.note_refused,
        webhooks.fast_path if fast_path else None,
        metrics=metrics.connections,
    )
    runner = await start(server, sockets, finish_s=2)
    bridge = Bridge(sockets[0].getsockname()[1], shelf, lines, metrics, health, webhooks, server)
    try:
        yield bridge
    finally:
        for writer in bridge.connections:
            writer.close()
        shelf.open.set()
        await runner.cleanup()
