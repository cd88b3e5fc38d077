"""Every metric of section 12 of the design, bound to a registry that the caller gives.

Counters and histograms are fed where things happen. What is merely a state (how deep the outbox is,
whether the broker is there) is a gauge that asks its owner when it is scraped; `bootstrap` tells each
gauge whom to ask.
"""

import platform
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

UNKNOWN_SOURCE = "unknown"
"""The one label value for every path and source that does not exist, so that a scanner cannot make series."""

_ANSWER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COMMIT_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
_CONFIRM_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0)


class IntakeMetrics:
    """What the webhook listener counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "tms_bridge_webhook_requests",
            "Webhook requests by how they were answered.",
            ["source", "trigger", "outcome"],
            registry=registry,
        )
        self.events = Counter(
            "tms_bridge_events", "Events taken in.", ["trigger", "status"], registry=registry
        )
        self.duration = Histogram(
            "tms_bridge_webhook_duration_seconds",
            "From the end of a webhook's headers to its answer.",
            buckets=_ANSWER_BUCKETS,
            registry=registry,
        )
        self.last_accepted = Gauge(
            "tms_bridge_last_accepted_timestamp_seconds",
            "When a source's last event was answered 2xx.",
            ["source"],
            registry=registry,
        )
        self.credential_used = Counter(
            "tms_bridge_credential_used",
            "Webhooks that a credential opened the door for, by its name.",
            ["source", "credential"],
            registry=registry,
        )


class OutboxMetrics:
    """What the outbox counts, and what it is asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.commit_duration = Histogram(
            "tms_bridge_outbox_commit_duration_seconds",
            "One group commit, fsync included.",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )
        self.events = _gauge(registry, "outbox_events", "Events that wait for the broker.")
        self.bytes = _gauge(registry, "outbox_bytes", "Bytes of the rows that wait.")
        self.oldest = _gauge(
            registry,
            "outbox_oldest_timestamp_seconds",
            "When the oldest waiting event was received; 0: none.",
        )
        self.refused = _gauge(registry, "outbox_refused", "Events parked because no retry can deliver them.")
        self.quarantine_events = _gauge(registry, "quarantine_events", "Bodies kept in quarantine.")


class PublishMetrics:
    """What the relay and the broker connection count, and what they are asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.confirm_duration = Histogram(
            "tms_bridge_publish_confirm_duration_seconds",
            "From a publish to the broker's confirm.",
            buckets=_CONFIRM_BUCKETS,
            registry=registry,
        )
        self.returned = Counter(
            "tms_bridge_publish_returned",
            "Events that no queue wanted, by routing key.",
            ["routing_key"],
            registry=registry,
        )
        self.nacked = Counter(
            "tms_bridge_publish_nacked", "Publishes that a queue refused.", registry=registry
        )
        self.reconnects = Counter(
            "tms_bridge_broker_reconnects", "Connections lost and made anew.", registry=registry
        )
        self.relay_faults = Counter(
            "tms_bridge_relay_faults", "Defects that the relay outlived by starting over.", registry=registry
        )
        self.fallbacks = Counter(
            "tms_bridge_publisher_fallbacks",
            "Connections on which the plain publisher stood in for the fast one.",
            registry=registry,
        )
        self.outstanding = _gauge(registry, "publishes_outstanding", "Publishes that await their confirm.")
        self.connected = _gauge(registry, "broker_connected", "1 while a confirm channel is open.")
        self.blocked = _gauge(registry, "broker_blocked", "1 while the broker blocks publishing (an alarm).")


class Metrics:
    """All of them; one value a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # The client library would add a `_created` series to each counter, which nobody asked for.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self.registry = registry
        self.intake = IntakeMetrics(registry)
        self.outbox = OutboxMetrics(registry)
        self.publish = PublishMetrics(registry)
        self.allowlist_published = _gauge(
            registry,
            "allowlist_published_timestamp_seconds",
            "When the vendor published the address list that is shipped here.",
        )
        self.reload_success = _gauge(
            registry, "config_reload_success", "1 when the last reading of the configuration succeeded."
        )
        self._build = Gauge(
            "tms_bridge_build_info",
            "Always 1; the labels say what runs.",
            ["version", "python"],
            registry=registry,
        )

    def say_build(self, version: str) -> None:
        """Show which version runs."""
        self._build.labels(version=version, python=platform.python_version()).set(1)

    def show_credentials(self, credentials: Iterable[tuple[str, str]]) -> None:
        """Start the per-credential counters of (source, credential) at zero, so that an unused one shows."""
        for source, credential in credentials:
            self.intake.credential_used.labels(source=source, credential=credential)


def _gauge(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    return Gauge(f"tms_bridge_{name}", text, registry=registry)
