"""A TCP proxy between bridge and broker that can reset, swallow, delay and refuse, and that counts.

It runs in a thread with a loop of its own, so that plain code can use it and no blocking call holds it up.
It reads AMQP as it goes by: how many publishes had no outcome when a connection ended is what the bridge
may send again, and nobody but an observer in between can say it.
"""

import asyncio
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final, Self, TypeVar

from tests.faults.half_open import HalfOpenBroker, Manner
from tests.faults.records import Confirm, Disruption
from tests.faults.tap import Publish, Tap

T = TypeVar("T")

MOST_CONFIRMED: Final = 1024
UNREAD_S: Final = 0.5
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a port of 127.0.0.1 and carries to another; use it as a context manager.

    Attributes:
        port: where the bridge connects.
        target: the broker's port; may be changed for later connections.
        disruptions: connections that ended, and nacks, in order.
        doubles: publishes that were sent while the same message, or another of the same entity, was
            without an outcome on a connection that the bridge had not closed.
    """

    def __init__(
        self,
        target: int,
        on_disruption: Callable[[Disruption], None] | None = None,
        on_confirm: Callable[[Confirm], None] | None = None,
    ) -> None:
        self.target = target
        self.port = 0
        self.disruptions: list[Disruption] = []
        self.doubles: list[str] = []
        self._confirmed: deque[tuple[float, str]] = deque(maxlen=MOST_CONFIRMED)
        self.swallowing = False
        self.delay_s = 0.0
        self.accepted = 0
        self._on_disruption = on_disruption
        self._on_confirm = on_confirm
        self._manner: Manner | None = None
        self._half_open: list[HalfOpenBroker] = []
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    @property
    def outstanding(self) -> int:
        """How many publishes that went by have no outcome yet."""
        return sum(pair.tap.outstanding for pair in list(self._pairs))

    @property
    def connections(self) -> int:
        """How many connections there are just now."""
        return len(self._pairs)

    def confirmed(self, count: int) -> list[str]:
        """Return the ids of the last publishes that the broker confirmed."""
        return [message_id for _, message_id in list(self._confirmed)[-count:]]

    def unread(self) -> list[str]:
        """Return the ids whose confirms may still have lain in a socket that ends now."""
        since = time.monotonic() - UNREAD_S
        return [message_id for at, message_id in self._confirmed if at >= since]

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self.listen()

    def listen(self) -> None:
        """Take connections again after `refuse`, on the same port."""
        self._call(self._listen())

    def refuse(self) -> None:
        """Listen no more, and reset every connection."""
        self._call(self._refuse())

    def reset(self) -> None:
        """Cut every connection with a TCP reset on both sides; new ones are taken."""
        self._call(self._reset())

    def black_hole(self) -> None:
        """Swallow everything, in both directions; connections stay open and new ones are taken."""
        self.swallowing = True

    def half_open(self, manner: Manner) -> None:
        """Reset every connection; answer new ones like a host that is a broker only up to a point."""
        self._manner = manner
        self._call(self._reset())

    def delay(self, seconds: float) -> None:
        """Let everything take this much longer, in each direction; 0: at once again."""
        self.delay_s = seconds

    def heal(self) -> None:
        """Pass everything on again, at once, what was swallowed included."""
        self.swallowing, self.delay_s, self._manner = False, 0.0, None
        self._call(self._heal())

    def close(self) -> None:
        """End everything."""
        self._call(self._refuse())
        self._call(self._cancel_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def note(self, disruption: Disruption) -> None:
        """Keep a disruption, and tell whoever listens."""
        self.disruptions.append(disruption)
        if self._on_disruption is not None:
            self._on_disruption(disruption)

    def look(self, publish: Publish) -> None:
        """See whether a publish comes before its forerunner's end."""
        for pair in self._pairs:
            for other in () if pair.ended else pair.tap.in_flight:
                if publish.message_id == other.message_id or (
                    publish.subject and publish.subject == other.subject
                ):
                    self.doubles.append(f"{publish} was sent while {other} was in flight")

    def note_confirm(self, publish: Publish) -> None:
        """Remember what the broker confirmed last, and tell whoever listens."""
        now = time.monotonic()
        self._confirmed.append((now, publish.message_id))
        if self._on_confirm is not None:
            self._on_confirm(Confirm(id=publish.message_id, at=now))

    def leave(self, pair: "_Pair") -> None:
        """Forget a connection that has ended."""
        self._pairs.discard(pair)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self) -> asyncio.Protocol:
        self.accepted += 1
        if self._manner is not None:
            self._half_open.append(HalfOpenBroker(self._manner))
            return self._half_open[-1]
        return self._take().bridge

    def _take(self) -> "_Pair":
        pair = _Pair(self, self._loop)
        self._pairs.add(pair)
        return pair

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _reset(self) -> None:
        for pair in list(self._pairs):
            pair.end()
        while self._half_open:
            self._half_open.pop().abort()

    async def _cancel_rest(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _heal(self) -> None:
        for pair in list(self._pairs):
            pair.bridge.pump()
            pair.broker.pump()


class _Pair:
    """One connection of the bridge, and ours to the broker for it."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self.proxy = proxy
        self.loop = loop
        self.tap = Tap(proxy.look, proxy.note_confirm, self._nacked)
        self.bridge = _Side(self, self._connect, looks=self.tap.sent, shows=self.tap.received)
        self.broker = _Side(self, self._reached, looks=_ignore, shows=_ignore)
        self.bridge.other, self.broker.other = self.broker, self.bridge
        self._connecting: asyncio.Task[None] | None = None
        self.ended = False

    def end(self, *, reset: bool = True) -> None:
        """Close both sides, and say what had no outcome."""
        if self.ended:
            return
        self.ended = True
        lost, unread = self.tap.in_flight, self.proxy.unread()
        if lost or unread:
            self.proxy.note(
                Disruption(
                    cause="close" if self.tap.channel_closed else "loss",
                    at=time.monotonic(),
                    ids=[publish.message_id for publish in lost],
                    unread=unread,
                )
            )
        self.bridge.close(reset=reset)
        if self.proxy.swallowing or not reset:
            # What was on its way is not called back by the end of its sender.
            self.loop.create_task(self._linger())
        else:
            self.broker.close(reset=True)
            self.proxy.leave(self)

    async def _linger(self) -> None:
        """Deliver what the bridge had sent before it closed, as a network may, then close."""
        while self.broker.waiting and not self.broker.closed:  # noqa: ASYNC110 - ends by itself, soon
            await asyncio.sleep(0.05)
        self.broker.close(reset=False)
        self.proxy.leave(self)

    def _reached(self) -> None:
        self.broker.pump()

    def _connect(self) -> None:
        self._connecting = self.loop.create_task(self._reach_broker())

    async def _reach_broker(self) -> None:
        try:
            await self.loop.create_connection(lambda: self.broker, "127.0.0.1", self.proxy.target)
        except OSError:
            self.broker.closed = True
            self.end()

    def _nacked(self, publish: Publish) -> None:
        self.proxy.note(Disruption(cause="nack", at=time.monotonic(), ids=[publish.message_id]))


class _Side(asyncio.Protocol):
    """One of the two sockets of a connection, and what waits to be written to it.

    What the bridge has sent counts from when it is read. What the broker has answered counts from when it
    is passed on: a confirm that is swallowed is none.
    """

    other: "_Side"

    def __init__(
        self,
        pair: _Pair,
        on_made: Callable[[], None],
        *,
        looks: Callable[[bytes], None],
        shows: Callable[[bytes], None],
    ) -> None:
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.closed = False
        self._pair = pair
        self._on_made = on_made
        self._looks = looks
        self._shows = shows
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._on_made()

    def data_received(self, data: bytes) -> None:
        self._looks(data)
        other, pair = self.other, self._pair
        other.waiting.append((pair.loop.time() + pair.proxy.delay_s, data))
        other.pump()

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True
        self._pair.end(reset=self is self._pair.broker)

    def pump(self) -> None:
        """Write what is due."""
        transport, proxy = self._transport, self._pair.proxy
        if transport is None or transport.is_closing() or proxy.swallowing:
            return
        now = self._pair.loop.time()
        while self.waiting and (self.waiting[0][0] <= now or not proxy.delay_s):
            data = self.waiting.popleft()[1]
            self._shows(data)
            transport.write(data)
        if self.waiting:
            self._pair.loop.call_at(self.waiting[0][0], self.pump)

    def close(self, *, reset: bool) -> None:
        """Close the socket, with a TCP reset or in order."""
        self.closed = True
        if self._transport is None:
            return
        if reset:
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
        else:
            self._transport.close()


def _ignore(_data: bytes) -> None:
    """What goes to the broker was looked at when it came, and what comes from it is when it goes."""
