"""Whom each gauge asks when it is scraped."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from tms_bridge.auth.allowlist import published
from tms_bridge.broker import Supervisor
from tms_bridge.ingest import unreadable_fields
from tms_bridge.metrics import Metrics, OutboxMetrics, PublishMetrics
from tms_bridge.outbox.rows import Stats
from tms_bridge.relay import Relay
from tms_bridge.settings.model import Source
from tms_events import Trigger

VERSION: Final = version("tms-bridge")
_MICROSECONDS: Final = 1_000_000


def bind_outbox(metrics: OutboxMetrics, stats: Callable[[], Stats]) -> None:
    """Let the gauges of the outbox ask it."""
    metrics.events.set_function(lambda: stats().events)
    metrics.bytes.set_function(lambda: stats().bytes)
    metrics.oldest.set_function(lambda: (stats().oldest_us or 0) / _MICROSECONDS)
    metrics.refused.set_function(lambda: stats().refused)
    metrics.quarantine_events.set_function(lambda: stats().undecodable + stats().held)


def bind_publishing(metrics: PublishMetrics, supervisor: Supervisor, relay: Relay) -> None:
    """Let the gauges of publishing ask relay and supervisor."""
    metrics.connected.set_function(lambda: supervisor.connected)
    metrics.blocked.set_function(lambda: supervisor.blocked)
    metrics.outstanding.set_function(lambda: relay.outstanding)


def set_facts(metrics: Metrics, sources: dict[str, Source]) -> None:
    """Set what does not change until the next reload."""
    metrics.say_build(VERSION)
    updated = datetime.fromisoformat(published().updated).replace(tzinfo=UTC)
    metrics.allowlist_published.set(updated.timestamp())
    metrics.reload_success.set(1)
    metrics.show_fields((trigger.value, field) for trigger in Trigger for field in unreadable_fields(trigger))
    metrics.show_credentials(
        (name, credential.name) for name, source in sources.items() for credential in source.credentials
    )
