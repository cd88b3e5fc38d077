"""What the admin listener looks at, handed over by the composition root."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from typing import Final, Literal, Self

import msgspec
from aiohttp import web

from tms_bridge.broker.consumer import replay, waiting
from tms_bridge.broker.session import Session
from tms_bridge.calls import Calls
from tms_bridge.errors import BrokerError, Unavailable
from tms_bridge.http.health import Health
from tms_bridge.ingest import Observation
from tms_bridge.log import Logger
from tms_bridge.metrics import Metrics
from tms_bridge.outbox.contract import Durable
from tms_bridge.outbox.operators import Operators
from tms_bridge.outbox.rows import Stats
from tms_bridge.words.standing import Standing

WATCHERS: Final = 16
"""How many may follow a stream at once."""

BrokerState = Literal["up", "blocked", "down"]


class BrokerStatus(msgspec.Struct, frozen=True):
    """The broker as the bridge sees it.

    Attributes:
        topology_errors: what is not as configured there.
        error: why it cannot be reached; empty where it can.
    """

    state: BrokerState
    outstanding: int
    topology_errors: list[str]
    error: str = ""


class Watchers:
    """How many follow a stream; one too many is told so."""

    def __init__(self) -> None:
        self.count = 0

    def one(self) -> Self:
        """Return a context that counts one more.

        Raises:
            Unavailable: there are enough.
        """
        if self.count >= WATCHERS:
            raise Unavailable(f"{WATCHERS} others are watching already; close one of them.")
        return self

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


MOST_REPLAYED: Final = 1000
"""How many events one press sends again."""


class SentTest(msgspec.Struct, frozen=True):
    """The id of a test event that is durable."""

    id: str


class UnroutableReplayed(msgspec.Struct, frozen=True):
    """How many events a queue has now, how many came back, and how many of any key wait in the end."""

    replayed: int
    returned: int
    waiting: int


class Bus:
    """The way to the bus, beside that of the webhooks; `send` takes in a test event."""

    def __init__(
        self,
        calls: Calls,
        exchange: str,
        open_session: Callable[[], Awaitable[Session]],
        send: Callable[[str, str, str, str], Awaitable[str]],
    ) -> None:
        self._calls = calls
        self._exchange = exchange
        self._open_session = open_session
        self.send_test = send

    async def replay_unroutable(self, key: str = "") -> UnroutableReplayed:
        """Send again what waits in tms.unroutable, of one routing key or of all.

        Raises:
            Unavailable: the broker cannot be reached, or was lost; what was not confirmed stays.
        """
        replayed = returned = 0
        try:
            async with self._session() as session:
                number = min(await waiting(session), MOST_REPLAYED)
                async with aclosing(replay(session, self._exchange, number, key)) as events:
                    async for event in events:
                        replayed, returned = replayed + event.routed, returned + (not event.routed)
                        if event.routed:
                            self._calls.replayed(event.id, time.time())
                left = await waiting(session)
        except BrokerError as failure:
            raise Unavailable(f"{replayed} were sent again, then the broker failed: {failure}") from failure
        return UnroutableReplayed(replayed, returned, left)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        session = await self._open_session()
        try:
            yield session
        finally:
            await session.close()


class Context(msgspec.Struct, frozen=True):
    """The running bridge.

    Attributes:
        calls: every call, and what became of it.
        watchers: how many follow a stream.
        sources: the names of the sources that are configured.
        durable: what stands behind a 2xx.
        operators: what may be done to the rows; None where nothing is kept.
        stats: the outbox in numbers.
        outbox_dir: its directory; None where it has none.
        broker: how the broker is.
        standing: how things stand now.
        version: of the service.
        observations: what was seen of the senders' bodies.
        in_flight: how many webhooks of each source are on their way in.
        bus: what an operator does to the bus.
    """

    health: Health
    metrics: Metrics
    logger: Logger
    calls: Calls
    watchers: Watchers
    sources: Callable[[], Collection[str]]
    durable: Durable
    operators: Operators | None
    stats: Callable[[], Stats]
    outbox_dir: str | None
    broker: Callable[[], BrokerStatus]
    standing: Callable[[], Standing]
    version: str
    bus: Bus
    observations: Callable[[], tuple[Observation, ...]] = tuple
    in_flight: Callable[[], dict[str, int]] = dict


CONTEXT: Final = web.AppKey("context", Context)
