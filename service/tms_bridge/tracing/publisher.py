"""A publisher that writes a span down for each publish, and lets the message leave with it in `traceparent`.

It stands between the relay and the real one, and is not there at all where nobody asked for traces.
"""

from tms_bridge.errors import PublisherClosed
from tms_bridge.message import Message, Outcome
from tms_bridge.relay.publisher import Broker, Publisher
from tms_bridge.tracing.traces import TracedPublish, Traces


class TracedBroker:
    """Where traced publishers come from."""

    def __init__(self, broker: Broker, traces: Traces) -> None:
        self._broker = broker
        self._traces = traces

    async def connect(self) -> "TracedPublisher":
        """Wait for a publisher, and put ours before it."""
        return TracedPublisher(await self._broker.connect(), self._traces)


class TracedPublisher:
    """A publisher whose publishes leave spans."""

    def __init__(self, publisher: Publisher, traces: Traces) -> None:
        self._publisher = publisher
        self._traces = traces
        self._spans: dict[int, TracedPublish] = {}

    @property
    def room(self) -> int:
        """How many more publishes it takes now."""
        return self._publisher.room

    def publish(self, key: int, message: Message, exchange: str) -> None:
        """Send one message, with the place of this publish in its trace."""
        span = self._traces.begin(message, exchange)
        if span is None:
            self._publisher.publish(key, message, exchange)
            return
        self._publisher.publish(key, span.message, exchange)
        self._spans[key] = span  # after it: what is not sent has no outcome

    async def outcomes(self) -> list[tuple[int, Outcome]]:
        """Wait for what became of earlier publishes.

        Raises:
            PublisherClosed: the connection is gone.
        """
        try:
            outcomes = await self._publisher.outcomes()
        except PublisherClosed:
            self._end_all()
            raise
        for key, outcome in outcomes:
            if (span := self._spans.pop(key, None)) is not None:
                self._traces.end(span, outcome)
        return outcomes

    async def close(self) -> None:
        """Close it; what is in flight has an unknown fate."""
        await self._publisher.close()
        self._end_all()

    def _end_all(self) -> None:
        spans, self._spans = self._spans, {}
        for span in spans.values():
            self._traces.end(span, None)
