"""A proxy between consumer and broker, which reads AMQP along, and can hold back what goes by.

It learns from the consumer's own frames which queue it reads and where dead letters go, and sees each
delivery and what settles it. An acknowledgement is looked at before it is passed on: what the consumer has
not said by then, it had not done.
"""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import pamqp.base
import pamqp.frame
import pamqp.header
from pamqp.commands import Basic, Channel, Queue

from tms_events.torture.record import NUMBER_HEADER, Number, Record

Arguments = dict[str, object]
Effect = Callable[[], None]
Look = Callable[[int, object], Effect | None]

_FRAME = struct.Struct(">BHL")
_METHOD, _HEADER = 1, 2
_CHUNK_BYTES = 65536


class Tap:
    """Listens on a port of 127.0.0.1 and carries to the broker; use it as an async context manager.

    Attributes:
        url: where the consumer connects.
        queues: the arguments of each queue that the consumer declared.
        read: the names of the queues that it reads.
        reading: set while a consumer reads a queue.
        changed: set whenever something was seen.
    """

    def __init__(self, url: str, record: Record) -> None:
        self._target, self._record = urlsplit(url), record
        self.url = ""
        self.queues: dict[str, Arguments] = {}
        self.read: dict[str, None] = {}
        self.reading, self.changed = asyncio.Event(), asyncio.Event()
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._up.set()
        self._down.set()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
        self.url = urlunsplit(self._target._replace(scheme="amqp", netloc=netloc))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()

    @contextlib.contextmanager
    def holding_acks(self) -> Iterator[None]:
        """Pass on nothing that the consumer writes; use `cut` before the end, or it arrives after all."""
        self._up.clear()
        try:
            yield
        finally:
            self._up.set()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Pass on nothing in either direction, and everything afterwards."""
        self._down.clear()
        try:
            with self.holding_acks():
                yield
        finally:
            self._down.set()

    async def cut(self) -> None:
        """End every connection; what is held back is dropped."""
        for connection in self._connections:
            connection.cancel()
        await self.drained()

    async def drained(self) -> None:
        """Wait until what an ended consumer had written was passed on, and its connections are closed."""
        if self._connections:
            await asyncio.wait(self._connections)
        self.reading.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - a handler is always a task
            return
        self._connections.add(task)
        try:
            await self._carry_both(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the other side is gone, or we have cut it
        finally:
            writer.close()
            self._connections.discard(task)
            self.changed.set()

    async def _carry_both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secure = ssl.create_default_context() if self._target.scheme == "amqps" else None
        port = self._target.port or (5671 if secure else 5672)
        broker_reader, broker_writer = await asyncio.open_connection(self._target.hostname, port, ssl=secure)
        conversation = Conversation(self, self._record)
        down = asyncio.create_task(self._carry(broker_reader, writer, conversation.from_broker, self._down))
        up = asyncio.create_task(self._carry(reader, broker_writer, conversation.from_consumer, self._up))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Nothing is awaited before all is closed: `cut` may cancel us here as well.
            up.cancel()
            down.cancel()
            conversation.end()
            broker_writer.close()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Look, gate: asyncio.Event
    ) -> None:
        frames = _Frames()
        while data := await reader.read(_CHUNK_BYTES):
            seen = [look(channel, frame) for channel, frame in frames.feed(data)]
            await gate.wait()
            writer.write(data)
            await writer.drain()
            for effect in seen:
                if effect is not None:
                    effect()
            self.changed.set()


class _Frames:
    """Cuts a stream of bytes into the frames that tell of deliveries."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, object]]:
        """Return the channel and content of each method and header that has come whole."""
        rest = self._rest + data
        if rest.startswith(b"AMQP"):
            rest = rest[8:]
        while len(rest) >= _FRAME.size:
            kind, channel, size = _FRAME.unpack_from(rest)
            whole = _FRAME.size + size + 1
            if len(rest) < whole:
                break
            if kind in (_METHOD, _HEADER):
                yield channel, pamqp.frame.unmarshal(rest[:whole])[2]
            rest = rest[whole:]
        self._rest = rest


class Conversation:
    """What consumer and broker say on one connection: which delivery is which message, and its end."""

    def __init__(self, tap: Tap, record: Record) -> None:
        self._tap, self._record = tap, record
        self._open: dict[tuple[int, int], Number] = {}
        self._coming: dict[int, tuple[int, bool]] = {}
        self._asked: dict[int, Arguments] = {}
        self._named: dict[int, str] = {}
        self._unacked: dict[int, bool] = {}

    def from_consumer(self, channel: int, frame: object) -> Effect | None:
        """Look at what the consumer writes, and return what is true once the broker has it."""
        match frame:
            case Queue.Declare():
                self._asked[channel] = dict(frame.arguments or {})
                self._named[channel] = frame.queue
            case Basic.Consume() | Basic.Get():
                self._unacked[channel] = bool(frame.no_ack)
                self._tap.read[frame.queue or self._named.get(channel, "")] = None
                if isinstance(frame, Basic.Get):
                    self._tap.reading.set()
            case Basic.Ack():
                return self._settle(channel, frame.delivery_tag or 0, "acked", multiple=bool(frame.multiple))
            case Basic.Nack():
                how = "requeued" if frame.requeue else "rejected"
                return self._settle(channel, frame.delivery_tag or 0, how, multiple=bool(frame.multiple))
            case Channel.Close():
                return lambda: self.end(channel)
            case Basic.Reject():
                how = "requeued" if frame.requeue else "rejected"
                return self._settle(channel, frame.delivery_tag or 0, how, multiple=False)
        return None

    def from_broker(self, channel: int, frame: object) -> Effect | None:
        """Look at what the broker writes."""
        match frame:
            case Queue.DeclareOk():
                name = self._named[channel] = frame.queue or ""
                self._tap.queues.setdefault(name, {}).update(self._asked.pop(channel, {}))
            case Channel.Close():
                self.end(channel)
            case Basic.ConsumeOk():
                self._tap.reading.set()
            case Basic.Deliver() | Basic.GetOk():
                self._coming[channel] = (frame.delivery_tag or 0, self._unacked.get(channel, False))
            case pamqp.header.ContentHeader() if channel in self._coming:
                self._deliver(channel, frame)
        return None

    def end(self, channel: int | None = None) -> None:
        """Give back what is in hand, of one channel or of all."""
        ended = [one for one in self._open if channel in (None, one[0])]
        self._record.end([self._open.pop(one) for one in ended])

    def _deliver(self, channel: int, header: pamqp.header.ContentHeader) -> None:
        tag, unacked = self._coming.pop(channel)
        number = (header.properties.headers or {}).get(NUMBER_HEADER)
        if not isinstance(number, int) or not self._record.deliver(number):
            return  # not one of ours
        if unacked:
            self._record.acknowledge(number)
            self._record.settle(number, "acked")
        else:
            self._open[channel, tag] = number

    def _settle(self, channel: int, tag: int, how: str, *, multiple: bool) -> Effect:
        tags = [
            one
            for one in self._open
            if one[0] == channel and (one[1] == tag or (multiple and (tag == 0 or one[1] < tag)))
        ]
        numbers = [self._open[one] for one in tags]
        if how == "acked":
            for number in numbers:
                self._record.acknowledge(number)

        def passed_on() -> None:
            for one, number in zip(tags, numbers, strict=True):
                if self._open.pop(one, None) is not None:
                    self._record.settle(number, how)

        return passed_on


async def changes(tap: Tap, timeout_s: float) -> None:
    """Wait until the tap has seen something, or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await tap.changed.wait()
    tap.changed.clear()
