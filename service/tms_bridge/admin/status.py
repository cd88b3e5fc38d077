"""How this replica is."""

import msgspec
from aiohttp import web

from tms_bridge.admin.context import CONTEXT, BrokerStatus
from tms_bridge.outbox.contract import Durable
from tms_bridge.outbox.rows import Stats
from tms_bridge.words.saying import Saying, sayings


class Rates(msgspec.Struct, frozen=True):
    """Means of the last minute, a second."""

    taken_per_s: float
    delivered_per_s: float


class Status(msgspec.Struct, frozen=True):
    """This replica at a glance.

    Attributes:
        sayings: how things stand in a sentence, and up to three that stand under it.
        not_ready: why no webhook should be sent here.
        in_flight: how many webhooks of each source are on their way in.
        outbox_dir: where the outbox is on its disk; null where it has none.
    """

    sayings: list[Saying]
    version: str
    ready: bool
    not_ready: list[str]
    durable: Durable
    broker: BrokerStatus
    outbox: Stats
    outbox_dir: str | None
    rates: Rates
    in_flight: dict[str, int]


async def show_status(request: web.Request) -> Status:
    """Show the state of broker and outbox, rates and versions."""
    context = request.app[CONTEXT]
    reasons, standing = context.health.reasons(), context.standing()
    return Status(
        sayings=sayings(standing),
        version=context.version,
        ready=not reasons,
        not_ready=reasons,
        durable=context.durable,
        broker=context.broker(),
        outbox=context.stats(),
        outbox_dir=context.outbox_dir,
        rates=Rates(standing.per_s, standing.delivered_per_s),
        in_flight=context.in_flight(),
    )
