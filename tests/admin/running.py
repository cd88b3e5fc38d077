"""An admin listener over a real journal."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from tms_bridge import admin
from tms_bridge.admin.server import Runner
from tms_bridge.calls import AnsweredCall, Calls
from tms_bridge.errors import BrokerError
from tms_bridge.http.connections import Connections, admin_limits_of
from tms_bridge.http.health import Health
from tms_bridge.ingest import Observation
from tms_bridge.log import Log
from tms_bridge.message import Kind, Message
from tms_bridge.metrics import Metrics
from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Admin, Amqp, Basic, Credential, Http, Outbox, Settings, Source
from tms_bridge.settings.model import Logging as LogSettings
from tms_bridge.web import Routes
from tms_bridge.words.standing import Standing

SOURCE = Source(
    allow_from=("any",), credentials=(Credential(name="a", basic=Basic(username="u", password="p")),)
)

SETTINGS = Settings(
    amqp=Amqp(urls=("amqp://localhost",)), outbox=Outbox(dir="outbox"), sources={"contoso": SOURCE}
)

Client = TestClient[web.Request, None]
Serve = Callable[..., Awaitable[Client]]


class Lines:
    def __init__(self) -> None:
        self.raw = b""

    def write(self, line: bytes) -> int:
        self.raw += line
        return len(line)

    def of(self, event: str) -> list[dict[str, object]]:
        return [line for line in map(json.loads, self.raw.splitlines()) if line["event"] == event]


class Served(TestServer):
    """The application behind the connections that it has in the bridge."""

    async def _make_runner(self, **_: object) -> Runner:
        return Runner(self.app, Connections(admin_limits_of(Http()), "admin"))


class Desk:
    """What an operator sits at."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.lines = Lines()
        self.health = Health([])
        self.health.started = True
        self.calls = Calls()
        self.standing = Standing(now=1.0)
        self.metrics = Metrics(CollectorRegistry())
        self.routes = Routes(Http(), {"contoso": SOURCE})
        self.with_records = True
        journal.operators.reread = self.routes.reread
        self.broken_stats = False
        self.sent: list[tuple[str, ...]] = []
        self.bus = admin.Bus(self.calls, "tms.events", self._no_session, self._send)
        self.seen = tuple[Observation, ...]()

    async def _no_session(self) -> NoReturn:
        raise BrokerError("connect to h:5672: refused")

    async def _send(self, *test: str) -> str:
        self.sent.append(test)
        return "a-test"

    def context(self) -> admin.Context:
        return admin.Context(
            health=self.health,
            metrics=self.metrics,
            logger=Log(LogSettings(), self.lines).logger,
            calls=self.calls,
            watchers=admin.Watchers(),
            sources=lambda: ("contoso", "fabrikam"),
            durable="outbox",
            operators=self.journal.operators if self.with_records else None,
            stats=self.journal.stats,
            outbox_dir="/var/lib/tms-bridge/outbox" if self.with_records else None,
            broker=lambda: admin.BrokerStatus("down", 0, []),
            standing=lambda: self.standing,
            version="0.1.0",
            bus=self.bus,
            observations=lambda: self.seen,
            in_flight=lambda: {"contoso": 2, "fabrikam": 0},
        )

    def app(self, settings: Admin | None = None) -> web.Application:
        return admin.build(self.context(), admin.Guard(settings or Admin()))


def call(at: float = 1.7e9, **parts: object) -> AnsweredCall:
    known = {
        "request_id": f"r{at}",
        "method": "POST",
        "path": "/webhooks/contoso/class-changed",
        "http_status": 202,
        "outcome": "accepted",
        "duration_ms": 2.0,
        "source": "contoso",
        "trigger": "class",
        "address": "203.0.113.7",
        "id": f"event-{at}",
        "status": "completed",
        "entity": "7",
        "routing_key": "tms.class.completed",
    }
    return AnsweredCall(at=at, **{**known, **parts})  # type: ignore[arg-type]  # a test names what it changes


def event(entity: int) -> Message:
    return Message(
        id=f"01a20ff3-57dc-74c9-acd2-{entity:012d}",
        kind=Kind.EVENT,
        source="contoso",
        trigger="class",
        status="completed",
        routing_key="tms.class.completed",
        entity=str(entity),
        received_at_us=1_700_000_000_000_000 + entity,
        digest=f"{entity:064x}",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        body=b"{}",
    )


def body(number: int, raw: bytes) -> Message:
    """Return a body for quarantine, of now: the journal drops an old one in a quiet moment."""
    now_us = time.time_ns() // 1000
    changes = {
        "status": "",
        "routing_key": "",
        "entity": "",
        "body": raw,
        "reason": "odd",
        "received_at_us": now_us + number,
    }
    return msgspec.structs.replace(event(number), kind=Kind.QUARANTINE, **changes)
