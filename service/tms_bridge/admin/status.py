"""How this replica is."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiohttp import web

from tms_bridge.admin.context import CONTEXT, BrokerState, BrokerStatus, Context
from tms_bridge.admin.saying import Saying, sayings
from tms_bridge.admin.standing import SourceStanding, Standing
from tms_bridge.http.feed import RECENT
from tms_bridge.outbox.contract import Durable
from tms_bridge.outbox.rows import Stats

_LOOK_EVERY_S: Final = 1.0


class SteadyStanding:
    """Since when things have been as they are, by looking at them each second."""

    def __init__(self) -> None:
        self._broker: BrokerState | None = None
        self.broker: float | None = None
        self.full: float | None = None
        self.draining: float | None = None

    def look(self, broker: BrokerStatus, stats: Stats, now: float) -> None:
        """Note what has changed since the last look."""
        if broker.state != self._broker:
            came_back = self._broker is not None and broker.state == "up"
            self.draining = now if came_back else None
            self._broker, self.broker = broker.state, now
        if stats.events <= broker.outstanding:
            self.draining = None
        if not stats.unavailable:
            self.full = None
        elif self.full is None:
            self.full = now


SINCE: Final = web.AppKey("since", SteadyStanding)


async def look_on(app: web.Application) -> AsyncIterator[None]:
    """Look at broker and outbox each second, for as long as the application runs."""
    context, since = app[CONTEXT], app[SINCE]

    async def look() -> None:
        while True:
            since.look(context.broker(), context.stats(), time.time())
            await asyncio.sleep(_LOOK_EVERY_S)

    looking = asyncio.create_task(look(), name="standing")
    yield
    looking.cancel()
    await asyncio.wait((looking,))


class Rates(msgspec.Struct, frozen=True):
    """Means of the last minute, a second."""

    taken_per_s: float
    delivered_per_s: float


class Status(msgspec.Struct, frozen=True):
    """This replica at a glance.

    Attributes:
        sayings: how things stand in a sentence, and up to three that stand under it.
        not_ready: why no webhook should be sent here.
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


async def show_status(request: web.Request) -> Status:
    """Show the state of broker and outbox, rates and versions."""
    context = request.app[CONTEXT]
    reasons = context.health.reasons()
    return Status(
        sayings=sayings(standing_of(context, request.app[SINCE], time.time())),
        version=context.version,
        ready=not reasons,
        not_ready=reasons,
        durable=context.durable,
        broker=context.broker(),
        outbox=context.stats(),
        outbox_dir=context.outbox_dir,
        rates=Rates(context.feed.rate.per_second(), context.delivered_per_s()),
    )


def standing_of(context: Context, since: SteadyStanding, now: float) -> Standing:
    """Put together what is known of this replica at this moment."""
    stats, broker, configuration = context.stats(), context.broker(), context.configuration
    since.look(broker, stats, now)
    has_outbox = context.durable == "outbox"
    return Standing(
        now=now,
        stopping=context.health.stopping,
        drain_timeout_s=configuration.settings.http.drain_timeout_s,
        waiting=stats.events,
        full=stats.unavailable if has_outbox else "",
        full_since=since.full,
        has_outbox=has_outbox,
        room=_room(context, stats),
        per_s=context.feed.rate.per_second(),
        delivered_per_s=context.delivered_per_s(),
        broker=broker.state,
        broker_since=since.broker,
        draining_since=since.draining,
        sources=_sources(context, stats),
        topology_errors=broker.topology_errors,
        reload_refused_at=configuration.refused_at,
        reload_reason=configuration.reason,
        configured_at=configuration.at,
        undecodable=stats.undecodable,
        held=stats.held,
        max_age_days=configuration.settings.quarantine.max_age_days,
    )


def _room(context: Context, stats: Stats) -> int | None:
    """Return how many more events of the usual size the outbox holds; None while none tells that size."""
    outbox = context.configuration.settings.outbox
    if outbox is None or not stats.events or not stats.bytes:
        return None
    left = min(outbox.max_bytes - stats.bytes, stats.free_bytes - outbox.min_free_bytes)
    return max(left, 0) * stats.events // stats.bytes


def _sources(context: Context, stats: Stats) -> dict[str, SourceStanding]:
    """Return what the feed remembers of each source; before the first event ever, that none was called."""
    called = frozenset[str]() if stats.last_seq == 0 and not context.feed.recent(1) else None
    found = {name: SourceStanding(called=called) for name in context.configuration.settings.sources}
    for seen in reversed(context.feed.recent(RECENT)):
        if seen.source in found:
            found[seen.source] = SourceStanding(last_event_at=seen.received_at)
    return found
