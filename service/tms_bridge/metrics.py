"""Every metric of section 12 of the design, bound to a registry that the caller gives.

Counters and histograms are fed where things happen. What is merely a state (how deep the outbox is,
whether the broker is there) is a gauge that asks its owner when it is scraped; `bootstrap` tells each
gauge whom to ask.
"""

import platform
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import ClassVar

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

UNKNOWN_SOURCE = "unknown"
"""The one label value for every path and source that does not exist, so that a scanner cannot make series."""

_ANSWER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COMMIT_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
_CONFIRM_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0)
_DELIVERY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0)


class Tally(Collector):
    """A counter with labels, for what happens at every webhook.

    The client library's own takes a lock and four calls each time; everything here happens on one thread.
    """

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: tuple[str, ...]) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._counts: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def inc(self, *labels: str) -> None:
        """Count one."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def show(self, *labels: str) -> None:
        """Show these labels from now on, though nothing was counted."""
        self._counts.setdefault(labels, 0)

    def describe(self) -> Iterable[Metric]:
        """Tell the registry the name, before anything is counted."""
        yield CounterMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterable[Metric]:
        """Return the counts as of now."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        yield family


class Moments(Collector):
    """When something happened last, by one label: a gauge, for the same reason."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, label: str) -> None:
        self._name, self._text, self._labels = name, text, (label,)
        self._moments: dict[str, float] = {}
        registry.register(self)

    def set(self, label: str, moment: float) -> None:
        """It happened now."""
        self._moments[label] = moment

    def show(self, label: str, moment: float) -> None:
        """Show a label from now on, as if it had happened at this moment if it never has."""
        self._moments.setdefault(label, moment)

    def describe(self) -> Iterable[Metric]:
        """Tell the registry the name."""
        yield GaugeMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterable[Metric]:
        """Return the moments as of now."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for label, moment in self._moments.items():
            family.add_metric((label,), moment)
        yield family


class Distribution(Collector):
    """A histogram without labels, for the same reason."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self._name, self._text, self._bounds = name, text, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._exemplars: dict[int, Exemplar] = {}
        registry.register(self)

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def exemplify(self, value: float, trace_id: str, span_id: str) -> None:
        """Name a span that took so long; each bucket shows the last one to who asks for OpenMetrics."""
        labels = {"trace_id": trace_id, "span_id": span_id}
        self._exemplars[bisect_left(self._bounds, value)] = Exemplar(labels, value, time.time())

    def describe(self) -> Iterable[Metric]:
        """Tell the registry the name."""
        yield HistogramMetricFamily(self._name, self._text)

    def collect(self) -> Iterable[Metric]:
        """Return the counts as of now, each bucket with all below it."""
        family = HistogramMetricFamily(self._name, self._text)
        marks, counts = [*map(str, self._bounds), "+Inf"], accumulate(self._counts)
        buckets = [*zip(marks, counts, map(self._exemplars.get, range(len(marks))), strict=True)]
        family.add_metric([], buckets, self._sum)  # type: ignore[arg-type]  # None is no exemplar
        yield family


class _SourceGauge(Collector):
    """A state by source that its owner is asked for; a source that is configured is there at 0."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str) -> None:
        self._name, self._text = f"tms_bridge_{name}", text
        self._sources: tuple[str, ...] = ()
        self._ask: Callable[[], Mapping[str, int]] = dict
        registry.register(self)

    def show(self, sources: Iterable[str]) -> None:
        """Show these sources from now on."""
        self._sources = tuple(sources)

    def set_function(self, ask: Callable[[], Mapping[str, int]]) -> None:
        """Ask this; of a source that is not configured any more, what is there still counts."""
        self._ask = ask

    def describe(self) -> Iterable[Metric]:
        """Tell the registry the name."""
        yield GaugeMetricFamily(self._name, self._text, labels=("source",))

    def collect(self) -> Iterable[Metric]:
        """Return how it is now."""
        family = GaugeMetricFamily(self._name, self._text, labels=("source",))
        for source, count in (dict.fromkeys(self._sources, 0) | dict(self._ask())).items():
            family.add_metric((source,), count)
        yield family


class IntakeMetrics:
    """What the webhook listener counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Tally(
            registry,
            "tms_bridge_webhook_requests",
            "Webhook requests by how they were answered.",
            ("source", "trigger", "outcome"),
        )
        self.events = Tally(registry, "tms_bridge_events", "Events taken in.", ("trigger", "status"))
        self.fields_unread = Tally(
            registry,
            "tms_bridge_fields_unread",
            "Fields of events that were there and could not be read; the message names them.",
            ("trigger", "field"),
        )
        self.members_new = Tally(
            registry,
            "tms_bridge_members_new",
            "Members and types that a source's bodies never had before, after the first thousand.",
            ("source", "trigger"),
        )
        self.duration = Distribution(
            registry,
            "tms_bridge_webhook_duration_seconds",
            "From the end of a webhook's headers to its answer.",
            _ANSWER_BUCKETS,
        )
        self.last_accepted = Moments(
            registry,
            "tms_bridge_last_accepted_timestamp_seconds",
            "When a source's last event was answered 2xx; before the first, the start of the bridge.",
            "source",
        )
        self.credential_used = Tally(
            registry,
            "tms_bridge_credential_used",
            "Webhooks let in by each credential, by its name.",
            ("source", "credential"),
        )


class OutboxMetrics:
    """What the outbox counts, and what it is asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.commit_duration = Distribution(
            registry,
            "tms_bridge_outbox_commit_duration_seconds",
            "One group commit, fsync included.",
            _COMMIT_BUCKETS,
        )
        self.events = _gauge(registry, "outbox_events", "Events that wait for the broker.")
        self.bytes = _gauge(registry, "outbox_bytes", "Bytes of the rows that wait.")
        self.max_bytes = _gauge(
            registry, "outbox_max_bytes", "How many bytes may wait (outbox.max_bytes); 0: nothing is kept."
        )
        self.free_bytes = _gauge(
            registry, "outbox_free_bytes", "What is free on the disk of the outbox; 0 without an outbox."
        )
        self.min_free_bytes = _gauge(
            registry, "outbox_min_free_bytes", "The free-space floor (outbox.min_free_bytes)."
        )
        self.oldest = _gauge(
            registry,
            "outbox_oldest_timestamp_seconds",
            "When the oldest waiting event was received; 0: none.",
        )
        self.refused = _gauge(registry, "outbox_refused", "Events parked because no retry can deliver them.")
        self.quarantine_events = _gauge(registry, "quarantine_events", "Bodies kept, held ones included.")
        self.held = _SourceGauge(
            registry, "held_events", "Events from unlisted addresses, kept for release, by source."
        )
        self.undecodable = _SourceGauge(
            registry, "undecodable_events", "Bodies kept that are not events, by source."
        )


class PublishMetrics:
    """What the relay and the broker connection count, and what they are asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.confirm_duration = Distribution(
            registry,
            "tms_bridge_publish_confirm_duration_seconds",
            "From a publish to the broker's confirm.",
            _CONFIRM_BUCKETS,
        )
        self.delivery_duration = Distribution(
            registry,
            "tms_bridge_delivery_duration_seconds",
            "From an event's receipt to the broker's confirm, by the wall clock.",
            _DELIVERY_BUCKETS,
        )
        self.returned = Tally(
            registry,
            "tms_bridge_publish_returned",
            "Events that no queue wanted, by routing key.",
            ("routing_key",),
        )
        self.nacked = Counter(
            "tms_bridge_publish_nacked", "Publishes that a queue refused.", registry=registry
        )
        self.reconnects = Counter(
            "tms_bridge_broker_reconnects", "Connections that were lost and made again.", registry=registry
        )
        self.relay_faults = Counter(
            "tms_bridge_relay_faults", "Defects that the relay survived by starting over.", registry=registry
        )
        self.outstanding = _gauge(registry, "publishes_outstanding", "Publishes that await their confirm.")
        self.connected = _gauge(registry, "broker_connected", "1 while a confirm channel is open.")
        self.blocked = _gauge(registry, "broker_blocked", "1 while the broker blocks publishing (an alarm).")
        self.lanes_blocked = _gauge(
            registry, "lanes_blocked", "Routing keys, or the exchange, that a nack keeps waiting."
        )
        self.topology_errors = _gauge(
            registry, "topology_errors", "Exchanges, queues and bindings that are not as configured."
        )


class ConnectionMetrics:
    """What both listeners tell of their connections."""

    REASONS: ClassVar = (
        "max_connections",
        "max_connections_per_peer",
        "max_head_bytes",
        "head_timeout",
        "handshake_timeout",
        "write_timeout",
    )

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge("tms_bridge_connections", "Open connections.", ["listener"], registry=registry)
        self.refused = Tally(
            registry,
            "tms_bridge_connections_refused",
            "Connections that were ended or turned away because of a limit.",
            ("listener", "reason"),
        )

    def watch(self, listener: str, count: Callable[[], int]) -> None:
        """Show a listener from now on, with `count` open connections."""
        self._open.labels(listener).set_function(count)
        for reason in self.REASONS:
            self.refused.show(listener, reason)


class Metrics:
    """All of them; one value a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # The client library would add a `_created` series to each counter, which nobody asked for.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self.registry = registry
        self.intake = IntakeMetrics(registry)
        self.outbox = OutboxMetrics(registry)
        self.publish = PublishMetrics(registry)
        self.connections = ConnectionMetrics(registry)
        self.admin_refused = Tally(
            registry,
            "tms_bridge_admin_refused",
            "Calls of the admin API without a right token, by how they were answered.",
            ("outcome",),
        )
        for outcome in ("unauthorized", "forbidden", "throttled"):
            self.admin_refused.show(outcome)
        self.task_faults = Tally(
            registry,
            "tms_bridge_task_faults",
            "Defects that a background task survived by going on after a second.",
            ("task",),
        )
        # CPU, memory, descriptors and the start of the process, under the names that everybody uses.
        ProcessCollector(registry=registry)
        self.ready = _gauge(registry, "ready", "1 while events can be made durable, as /readyz says.")
        self.allowlist_checked = _gauge(
            registry,
            "allowlist_checked_timestamp_seconds",
            "When the address list last matched the vendor's; before that, the start of the bridge.",
        )
        self.allowlist_published = _gauge(
            registry,
            "allowlist_published_timestamp_seconds",
            "When the vendor published the address list that is shipped here.",
        )
        self.restart_pending = _gauge(
            registry, "restart_pending", "1 while the configuration holds changes that need a restart."
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


def _gauge(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    return Gauge(f"tms_bridge_{name}", text, registry=registry)
