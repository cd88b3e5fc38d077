"""A fault proxy between us and the broker, publishers, and messages to send."""

import asyncio
import contextlib
import functools
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiormq
import msgspec
import pytest
from tests.waiting import patience
from yarl import URL

from rabbitmq import Node
from tms_bridge.broker import topology
from tms_bridge.broker.publisher import PipelinedPublisher, check_channel
from tms_bridge.broker.session import Session, open_session
from tms_bridge.broker.supervisor import PATIENT_CONNECT_S
from tms_bridge.errors import BrokerError
from tms_bridge.message import Kind, Message, Outcome
from tms_bridge.settings.model import Amqp

EXCHANGE = "tms.events"

_CONNECT_TRIES = 3
_UNANSWERED = ("the other side hung up", "no answer in time")

EVENT = Message(
    id="",
    kind=Kind.EVENT,
    source="contoso",
    trigger="class",
    status="scheduled",
    routing_key="tms.class.scheduled",
    entity="4711",
    received_at_us=1_790_000_000_123_456,
    digest="ab" * 32,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    body=b'{"id":1}',
)


class FaultProxy:
    """A TCP proxy that can cut its connections, or swallow what goes through them."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.accepted = 0
        self.port = 0

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen; with TLS settings, speak TLS to whoever comes, and plainly to the broker."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def reset(self) -> None:
        """Cut every connection with a TCP reset."""
        for writer in self._writers:
            writer.transport.abort()

    def swallow(self) -> None:
        """Be a black hole: connections stay open and nothing goes through."""
        self._open.clear()

    def pass_on(self) -> None:
        self._open.set()

    async def refuse(self) -> None:
        """Listen no more, and cut what there is."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    async def close(self) -> None:
        await self.refuse()
        self._open.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, upstream}
        try:
            await asyncio.gather(self._pipe(reader, upstream), self._pipe(upstream_reader, writer))
        finally:
            self._writers -= {writer, upstream}
            writer.transport.abort()
            upstream.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()


@pytest.fixture
async def proxy(rabbitmq: Node) -> AsyncIterator[FaultProxy]:
    proxy = FaultProxy(rabbitmq.port)
    await proxy.start()
    yield proxy
    await proxy.close()


class Bench:
    """Opens publishers and looks at queues, in one virtual host."""

    def __init__(self, url: str) -> None:
        self.url = URL(url)
        self._stack = contextlib.AsyncExitStack()
        self.sessions: list[Session] = []

    async def session(
        self, *, url: URL | None = None, heartbeat_s: int = 10, context: ssl.SSLContext | None = None
    ) -> Session:
        session = await self._open_session(url or self.url, heartbeat_s, context)
        self.sessions.append(session)
        self._stack.push_async_callback(session.abort)
        return session

    async def _open_session(self, url: URL, heartbeat_s: int, context: ssl.SSLContext | None) -> Session:
        """Try as patiently as the bridge itself.

        A machine that stands still for seconds, with the node on it, looks like a broker that hangs up before
        its first word: it is we who hang up when time is over. No test is about that.
        """
        connect = functools.partial(
            open_session, context=context, heartbeat_s=heartbeat_s, name="test", timeout_s=PATIENT_CONNECT_S
        )
        for _ in range(_CONNECT_TRIES - 1):
            try:
                return await connect(url)
            except BrokerError as failure:
                if not any(text in str(failure) for text in _UNANSWERED):
                    raise
        return await connect(url)

    async def publisher(
        self,
        *,
        url: URL | None = None,
        heartbeat_s: int = 10,
        context: ssl.SSLContext | None = None,
        **overrides: Any,
    ) -> PipelinedPublisher:
        amqp = Amqp(urls=(str(self.url),), **overrides)
        session = await self.session(url=url, heartbeat_s=heartbeat_s, context=context)
        await topology.apply(session, topology.configured(amqp))
        publisher = PipelinedPublisher(
            session,
            await check_channel(session, await session.confirm_channel()),
            max_outstanding=amqp.max_outstanding,
            confirm_timeout_s=amqp.confirm_timeout_s,
        )
        self._stack.push_async_callback(publisher.close)
        return publisher

    async def channel(self) -> aiormq.abc.AbstractChannel:
        connection = await aiormq.connect(str(self.url))
        self._stack.push_async_callback(connection.close)
        return await connection.channel()

    async def queue(self, *keys: str, **arguments: str | int) -> str:
        """Declare a queue that gets what has these keys."""
        channel = await self.channel()
        name = f"q-{uuid.uuid4().hex}"
        await channel.queue_declare(name, durable=True, arguments=dict(arguments))
        for key in keys:
            await channel.queue_bind(name, EXCHANGE, key)
        return name

    async def get(self, queue: str) -> aiormq.abc.DeliveredMessage:
        channel = await self.channel()
        delivered = await channel.basic_get(queue, no_ack=True)
        assert isinstance(delivered.delivery, aiormq.spec.Basic.GetOk), "the queue is empty"
        return delivered

    async def depth(self, queue: str) -> int:
        declared = await (await self.channel()).queue_declare(queue, passive=True)
        assert declared.message_count is not None
        return declared.message_count

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def bench(vhost: str) -> AsyncIterator[Bench]:
    bench = Bench(vhost)
    yield bench
    await bench.close()


@pytest.fixture
def event() -> Callable[..., Message]:
    """Make an event; whatever is not given is ordinary."""

    def make(**changes: Any) -> Message:
        return msgspec.structs.replace(EVENT, **{"id": str(uuid.uuid4()), **changes})

    return make


@pytest.fixture
def collect() -> Callable[..., Awaitable[dict[int, Outcome]]]:
    """Wait until so many outcomes have come."""

    async def wait(publisher: PipelinedPublisher, count: int) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        async with patience():
            while len(outcomes) < count:
                outcomes.update(await publisher.outcomes())
        return outcomes

    return wait
