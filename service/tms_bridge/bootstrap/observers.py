"""What relay and broker tell, counted."""

from tms_bridge.http.feed import Rate
from tms_bridge.metrics import PublishMetrics


class CountingObserver:
    """Feeds the publish metrics; stands for the observers of both relay and broker."""

    def __init__(self, metrics: PublishMetrics) -> None:
        self._metrics = metrics
        self.delivered = Rate()

    def confirmed(self, seconds: float) -> None:
        """A publish was confirmed."""
        self._metrics.confirm_duration.observe(seconds)
        self.delivered.note()

    def returned(self, routing_key: str) -> None:
        """No queue wanted an event."""
        self._metrics.returned.labels(routing_key).inc()

    def nacked(self) -> None:
        """A queue refused a publish."""
        self._metrics.nacked.inc()

    def refused(self) -> None:
        """A message was parked; the outbox's own gauge shows it."""

    def faulted(self) -> None:
        """The relay outlived a defect."""
        self._metrics.relay_faults.inc()

    def reconnected(self) -> None:
        """A lost connection was made anew."""
        self._metrics.reconnects.inc()

    def fell_back(self) -> None:
        """The plain publisher stands in for the fast one."""
        self._metrics.fallbacks.inc()
