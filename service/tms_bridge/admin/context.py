"""What the admin listener looks at, handed over by the composition root."""

from collections.abc import Callable, Collection
from typing import Final, Literal, Self

import msgspec
from aiohttp import web

from tms_bridge.calls import Calls
from tms_bridge.errors import Unavailable
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
    """The broker as the bridge sees it; `topology_errors` says what is not as configured there."""

    state: BrokerState
    outstanding: int
    topology_errors: list[str]


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
            raise Unavailable(f"{WATCHERS} others watch already; close one of them.")
        return self

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


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
    observations: Callable[[], tuple[Observation, ...]] = tuple


CONTEXT: Final = web.AppKey("context", Context)
