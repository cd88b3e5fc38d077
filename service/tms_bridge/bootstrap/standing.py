"""How the running bridge stands, gathered from its parts, and looked at twice a second.

What a part cannot tell, namely since when something is so, is noted here when it is first seen.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

import msgspec

from tms_bridge.admin.context import BrokerState, BrokerStatus
from tms_bridge.calls import AnsweredCall, CallRow, Calls, Hook
from tms_bridge.history import Seconds
from tms_bridge.http.health import Health
from tms_bridge.outbox.rows import Share, Stats
from tms_bridge.settings.model import Settings
from tms_bridge.words.calls import near_source
from tms_bridge.words.standing import BlockedLane, RefusedCalls, SourceStanding, Standing

LOOK_EVERY_S: Final = 0.5

_START_S: Final = 5
_MINUTE_S: Final = 60
_TEN_MINUTES_S: Final = 600
_HOUR_S: Final = 3600.0
_US: Final = 1_000_000
_STRANGERS: Final = 50
"""How many unknown URLs are compared with those that exist."""

_REASONS: Final = {"unauthorized": "credentials", "unlisted_address_valid_credentials": "unlisted"}


class Reloads(msgspec.Struct):
    """What became of the configuration: when it was read, and what of it is not in force."""

    configured_at: float
    refused_at: float | None = None
    reason: str = ""
    restart_pending: tuple[str, ...] = ()

    def taken(self, now: float) -> None:
        """A new configuration is in force."""
        self.configured_at, self.refused_at, self.reason = now, None, ""

    def refused(self, now: float, reason: str) -> None:
        """A new configuration cannot be used."""
        self.refused_at, self.reason = now, reason


class OnlookerParts(msgspec.Struct, frozen=True):
    """What is asked."""

    settings: Callable[[], Settings]
    health: Health
    calls: Calls
    stats: Callable[[], Stats]
    broker: Callable[[], BrokerStatus]
    late_s: Callable[[], float]
    reloads: Reloads


class SteadyStanding:
    """Since when things have been as they are, by looking at them every so often."""

    def __init__(self) -> None:
        self._broker: BrokerState | None = None
        self._began: float | None = None
        self._was_up = False
        self.broker: float | None = None
        self.full: float | None = None
        self.draining: float | None = None

    def look(self, broker: BrokerStatus, stats: Stats, now: float) -> None:
        """Note what has changed since the last look."""
        self._began = self._began or now
        self._was_up = self._was_up or broker.state == "up"
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

    def is_away(self, now: float) -> bool:
        """Return whether events wait for the broker; the moment in which a bridge starts does not count."""
        is_starting = not self._was_up and now - (self._began or now) < _START_S
        return self._broker != "up" and not is_starting


class Onlooker:
    """Looks at the parts, and says how they stand."""

    def __init__(self, parts: OnlookerParts) -> None:
        self._parts = parts
        self._since = SteadyStanding()
        self.look()

    async def run(self) -> None:
        """Look for as long as the bridge runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Note since when things are as they are; file what was counted."""
        parts, now = self._parts, time.time()
        stats, broker = parts.stats(), parts.broker()
        self._since.look(broker, stats, now)
        parts.calls.history.look(now, stats.events, away=self._since.is_away(now))
        self.standing = self._standing(now)

    def _standing(self, now: float) -> Standing:
        parts = self._parts
        settings, stats = parts.settings(), parts.stats()
        broker, history = parts.broker(), parts.calls.history
        late_s = parts.late_s()
        second = int(now)
        unroutable = [row for row in parts.calls.open if row.fate and row.fate.state == "unroutable"]
        return Standing(
            now=now,
            stopping=parts.health.stopping,
            drain_timeout_s=settings.http.drain_timeout_s,
            waiting=stats.events,
            oldest=stats.oldest_us / _US if stats.oldest_us is not None else None,
            stored_bytes=stats.bytes,
            free_bytes=stats.free_bytes,
            late_s=late_s,
            full="" if late_s or settings.outbox is None else stats.unavailable,
            full_since=self._since.full,
            unavailable=_unavailable(parts.calls),
            has_outbox=settings.outbox is not None,
            room=_room(settings, stats),
            per_s=_per_s(history.taken, second),
            delivered_per_s=_per_s(history.delivered, second),
            broker=broker.state,
            broker_error=broker.error,
            broker_since=self._since.broker,
            draining_since=self._since.draining,
            lanes=_lanes(parts.calls),
            refused=list(_refused(parts.calls, settings, now)),
            sources=_sources(parts.calls, settings, stats),
            parked=stats.refused,
            undecodable=stats.undecodable,
            held=stats.held,
            restart_pending=parts.reloads.restart_pending,
            unroutable_topics=len({row.call.routing_key for row in unroutable}),
            unroutable=len(unroutable),
            unroutable_since=min((row.call.at for row in unroutable), default=None),
            topology_errors=broker.topology_errors,
            reload_refused_at=parts.reloads.refused_at,
            reload_reason=parts.reloads.reason,
            configured_at=parts.reloads.configured_at,
            refusals=history.refused.total(second, _TEN_MINUTES_S),
            flooding=_flooding(parts.calls, now),
            taken=history.taken.total(second, _TEN_MINUTES_S),
            p99_ms=history.day.at(now).percentile_ms(0.99),
            max_age_days=settings.quarantine.max_age_days,
        )


def _per_s(seconds: Seconds, now: int) -> float:
    return round(seconds.total(now, _MINUTE_S) / _MINUTE_S, 3)


def _room(settings: Settings, stats: Stats) -> int | None:
    """Return how many more events of the size of those that wait would fit; None: none waits to go by."""
    if settings.outbox is None or not stats.events:
        return None
    free = min(settings.outbox.max_bytes - stats.bytes, stats.free_bytes - settings.outbox.min_free_bytes)
    return max(0, free * stats.events // max(1, stats.bytes))


def _unavailable(calls: Calls) -> int:
    return sum(row.count for row in calls.turned_away if row.call.outcome == "unavailable")


def _lanes(calls: Calls) -> list[BlockedLane]:
    lanes: dict[str, BlockedLane] = {}
    for row in calls.open:
        if row.fate is not None and row.fate.state == "blocked":
            key = row.call.routing_key
            lane = lanes.get(key)
            since, waiting = (lane.since, lane.waiting) if lane is not None else (row.call.at, 0)
            lanes[key] = BlockedLane(key, min(since, row.call.at), waiting + 1)
    return list(lanes.values())


def _refused(calls: Calls, settings: Settings, now: float) -> Iterator[RefusedCalls]:
    """Yield the refusals that somebody has to act on, and those of URLs that are nearly a source's."""
    for row in calls.turned_away:
        call = row.call
        is_over = now - call.at >= _HOUR_S or calls.sent_for(call.address, call.source, call.at, call.trigger)
        if _wants_somebody(call) and not is_over:
            yield _told(row, _REASONS[call.outcome])
    strangers = (row for row in calls.turned_away if row.call.path.startswith("/webhooks/"))
    for row in islice((row for row in strangers if not row.call.source), _STRANGERS):
        near = near_source(row.call.path, settings.sources)
        if near and now - row.call.at < _HOUR_S:
            asked = row.call.path.strip("/").split("/")[1]
            yield msgspec.structs.replace(_told(row, "source"), source=near, asked=asked)


def _wants_somebody(call: AnsweredCall) -> bool:
    """Return whether TMS itself was refused, as far as address or credentials tell."""
    return call.outcome in _REASONS and (call.listed or call.outcome != "unauthorized")


def _told(row: CallRow, reason: str) -> RefusedCalls:
    call = row.call
    told = {"source": call.source, "trigger": call.trigger, "address": call.address}
    return RefusedCalls(reason=reason, count=row.count, since=row.first_at, **told)  # type: ignore[arg-type]


def _sources(calls: Calls, settings: Settings, stats: Stats) -> dict[str, SourceStanding]:
    return {name: _source(calls, name, stats) for name in settings.sources}


def _source(calls: Calls, name: str, stats: Stats) -> SourceStanding:
    hooks = {trigger: hook for (source, trigger), hook in calls.hooks.items() if source == name}
    mine = [row for row in calls.turned_away if row.call.source == name]
    share = stats.sources.get(name, Share())
    swapped = [row for row in mine if "swapped" in row.call.detail]
    kept = [row for row in mine if row.call.outcome in {"quarantined", "held"}]
    return SourceStanding(
        called=_called(hooks) if hooks or not stats.last_seq else None,
        swapped=len(swapped),
        swapped_since=min((row.first_at for row in swapped), default=0.0),
        undecodable=share.undecodable_rows,
        held=share.held_rows,
        kept_since=min((row.first_at for row in kept), default=None),
        last_event_at=max((hook.last for hook in hooks.values() if hook.last), default=None),
        last_delivered_ms=_took(max(hooks.values(), key=lambda hook: hook.last, default=None)),
    )


def _called(hooks: Mapping[str, Hook]) -> frozenset[str]:
    """Return the triggers whose webhook was called; after a restart nobody knows of those before it."""
    return frozenset(trigger for trigger, hook in hooks.items() if hook.last or hook.refused)


def _took(hook: Hook | None) -> float | None:
    """Return how long the last event took to the broker."""
    newest = hook.newest if hook is not None else None
    if newest is None or newest.fate is None or not newest.fate.confirmed:
        return None
    return max(1, round((newest.fate.confirmed - newest.call.at) * 1000))


def _flooding(calls: Calls, now: float) -> str:
    """Return the address that most of the refused calls of the last ten minutes came from."""
    counts: dict[str, int] = {}
    for row in calls.turned_away:
        if now - row.call.at < _TEN_MINUTES_S:
            counts[row.call.address] = counts.get(row.call.address, 0) + row.count
    return max(counts, key=counts.__getitem__, default="")
