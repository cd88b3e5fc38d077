"""Whom each gauge asks when it is scraped."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tms_bridge.auth.allowlist import CHECKED, published
from tms_bridge.broker import Supervisor
from tms_bridge.http.answer import OUTCOMES
from tms_bridge.ingest import unreadable_fields
from tms_bridge.metrics import UNKNOWN_SOURCE, Metrics, OutboxMetrics, PublishMetrics
from tms_bridge.outbox.rows import Stats
from tms_bridge.relay import Relay
from tms_bridge.settings.amqp import routing_keys
from tms_bridge.settings.model import Outbox, Source
from tms_events import Trigger
from tms_events.topics import STATUSES

VERSION: Final = version("tms-bridge")
_MICROSECONDS: Final = 1_000_000


def bind_outbox(metrics: OutboxMetrics, stats: Callable[[], Stats], outbox: Outbox | None) -> None:
    """Let the gauges of the outbox ask it."""
    metrics.events.set_function(lambda: stats().events)
    metrics.bytes.set_function(lambda: stats().bytes)
    metrics.free_bytes.set_function(lambda: stats().free_bytes)
    metrics.max_bytes.set(outbox.max_bytes if outbox is not None else 0)
    metrics.min_free_bytes.set(outbox.min_free_bytes if outbox is not None else 0)
    metrics.oldest.set_function(lambda: (stats().oldest_us or 0) / _MICROSECONDS)
    metrics.refused.set_function(lambda: stats().refused)
    metrics.quarantine_events.set_function(lambda: stats().undecodable + stats().held)
    metrics.held.set_function(lambda: _by_source(stats(), "held_rows"))
    metrics.undecodable.set_function(lambda: _by_source(stats(), "undecodable_rows"))


def _by_source(stats: Stats, count: str) -> dict[str, int]:
    """Return how many rows each source has that has any."""
    rows = {source: getattr(share, count) for source, share in stats.sources.items()}
    return {source: number for source, number in rows.items() if number}


def bind_publishing(metrics: PublishMetrics, supervisor: Supervisor, relay: Relay) -> None:
    """Let the gauges of publishing ask relay and supervisor."""
    metrics.connected.set_function(lambda: supervisor.connected)
    metrics.blocked.set_function(lambda: supervisor.blocked)
    metrics.outstanding.set_function(lambda: relay.outstanding)
    metrics.lanes_blocked.set_function(lambda: relay.lanes_blocked)
    metrics.topology_errors.set_function(lambda: len(supervisor.topology_errors))


def bind_allowlist(metrics: Metrics, outbox: Outbox | None) -> None:
    """Let the gauge ask when the allowlist was last found right; before that, the bridge's start counts."""
    started = time.time()

    def checked() -> float:
        try:
            return (Path(outbox.dir) / CHECKED).stat().st_mtime if outbox is not None else started
        except OSError:
            return started

    metrics.allowlist_checked.set_function(checked)


def set_facts(metrics: Metrics, sources: dict[str, Source]) -> None:
    """Set what does not change until the next reload."""
    metrics.say_build(VERSION)
    updated = datetime.fromisoformat(published().updated).replace(tzinfo=UTC)
    metrics.allowlist_published.set(updated.timestamp())
    metrics.reload_success.set(1)
    _show_series(metrics, sources)


def _show_series(metrics: Metrics, sources: dict[str, Source]) -> None:
    """Let every series that can be known be there at zero: a rate cannot see one that is born at 1."""
    intake = metrics.intake
    metrics.outbox.held.show(sources)
    metrics.outbox.undecodable.show(sources)
    for outcome in OUTCOMES:
        intake.requests.show(UNKNOWN_SOURCE, UNKNOWN_SOURCE, outcome)
    for name, source in sources.items():
        _show_source(metrics, name, source)
    for trigger in Trigger:
        for field in unreadable_fields(trigger):
            intake.fields_unread.show(trigger.value, field)
    for trigger, statuses in STATUSES.items():
        for status in statuses:
            intake.events.show(trigger, status)


def _show_source(metrics: Metrics, name: str, source: Source) -> None:
    intake = metrics.intake
    intake.last_accepted.show(name, time.time())
    for credential in source.credentials:
        intake.credential_used.show(name, credential.name)
    for trigger in Trigger:
        intake.members_new.show(name, trigger.value)
        for outcome in OUTCOMES:
            intake.requests.show(name, trigger.value, outcome)
    for key in routing_keys(source.routing_key_prefix):
        metrics.publish.returned.show(key)
