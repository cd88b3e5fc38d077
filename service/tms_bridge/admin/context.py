"""What the admin listener looks at, handed over by the composition root."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec
from aiohttp import web

from tms_bridge.admin.standing import ConfigurationStanding
from tms_bridge.http.feed import Feed
from tms_bridge.http.health import Health
from tms_bridge.ingest import Observation
from tms_bridge.log import Logger
from tms_bridge.metrics import Metrics
from tms_bridge.outbox.contract import Durable
from tms_bridge.outbox.operators import Operators
from tms_bridge.outbox.rows import Stats

BrokerState = Literal["up", "blocked", "down"]


class BrokerStatus(msgspec.Struct, frozen=True):
    """The broker as the bridge sees it; `topology_errors` says what is not as configured there."""

    state: BrokerState
    outstanding: int
    topology_errors: list[str]


class Context(msgspec.Struct, frozen=True):
    """The running bridge.

    Attributes:
        durable: what stands behind a 2xx.
        operators: what may be done to the rows; None where nothing is kept.
        stats: the outbox in numbers.
        outbox_dir: its directory; None where it has none.
        broker: how the broker is.
        delivered_per_s: what the broker confirmed in the last minute.
        configuration: the one in force.
        version: of the service.
        observations: what was seen of the senders' bodies.
    """

    health: Health
    metrics: Metrics
    logger: Logger
    feed: Feed
    durable: Durable
    operators: Operators | None
    stats: Callable[[], Stats]
    outbox_dir: str | None
    broker: Callable[[], BrokerStatus]
    delivered_per_s: Callable[[], float]
    configuration: ConfigurationStanding
    version: str
    observations: Callable[[], tuple[Observation, ...]] = tuple


CONTEXT: Final = web.AppKey("context", Context)
