"""The traced publisher in front of one that does what the test says."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.outbox.outboxes import event, undecodable
from tests.tracing.receiver import Receiver

from tms_bridge.errors import PublisherClosed
from tms_bridge.message import QUARANTINE_EXCHANGE, Message, Outcome
from tms_bridge.metrics import Metrics
from tms_bridge.tracing import TracedBroker, Traces
from tms_bridge.tracing.publisher import TracedPublisher

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Scripted:
    """A broker and its publisher: it keeps what is published, and tells the outcomes that it was given."""

    room = 3

    def __init__(self) -> None:
        self.published: dict[int, Message] = {}
        self.told: list[tuple[int, Outcome]] = []

    async def connect(self) -> "Scripted":
        return self

    def publish(self, key: int, message: Message, exchange: str) -> None:
        assert exchange
        self.published[key] = message

    async def outcomes(self) -> list[tuple[int, Outcome]]:
        if not self.told:
            raise PublisherClosed("the connection was lost")
        told, self.told = self.told, []
        return told

    async def close(self) -> None:
        self.told = []


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
async def traces(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Traces]:
    for name, value in receiver.environ.items():
        monkeypatch.setenv(name, value)
    logger = structlog.get_logger()
    traces = Traces(Metrics(CollectorRegistry()), logger, version="1", scheme="http")
    yield traces
    await traces.close()


@pytest.fixture
async def publisher(scripted: Scripted, traces: Traces) -> TracedPublisher:
    return await TracedBroker(scripted, traces).connect()


def place(message: Message) -> tuple[str, str]:
    return message.traceparent[3:35], message.traceparent[36:52]


async def test_each_publish_of_one_message_is_a_span_of_its_own(
    publisher: TracedPublisher, scripted: Scripted, receiver: Receiver
) -> None:
    publisher.publish(1, event(1), "tms.events")
    first = scripted.published[1]
    scripted.told = [(1, Outcome.NACKED)]
    await publisher.outcomes()
    publisher.publish(1, event(1), "tms.events")
    scripted.told = [(1, Outcome.CONFIRMED)]
    await publisher.outcomes()
    spans = await receiver.until(lambda _: True, 2)
    assert [place(first), place(scripted.published[1])] == [(span.trace_id, span.span_id) for span in spans]
    assert [(TRACE, PARENT)] * 2 == [(span.trace_id, span.parent) for span in spans]
    assert [(True, "nacked"), (False, None)] == [
        (span.failed, span.attributes.get("error.type")) for span in spans
    ]
    assert len({span.span_id for span in spans}) == 2


@pytest.mark.parametrize("closing", [True, False])
async def test_what_is_in_flight_when_the_connection_ends_has_failed(
    publisher: TracedPublisher, receiver: Receiver, *, closing: bool
) -> None:
    publisher.publish(1, event(1), "tms.events")
    if closing:
        await publisher.close()
    else:
        with pytest.raises(PublisherClosed):
            await publisher.outcomes()
    (span,) = await receiver.until(lambda _: True)
    assert (True, "connection_lost") == (span.failed, span.attributes["error.type"])


async def test_a_quarantined_body_goes_to_an_exchange_without_a_key(
    publisher: TracedPublisher, scripted: Scripted, receiver: Receiver
) -> None:
    publisher.publish(1, undecodable(1), QUARANTINE_EXCHANGE)
    scripted.told = [(1, Outcome.CONFIRMED)]
    await publisher.outcomes()
    (span,) = await receiver.until(lambda _: True)
    assert ("publish tms.quarantine", "tms.quarantine") == (
        span.name,
        span.attributes["messaging.destination.name"],
    )


@pytest.mark.parametrize(
    "traceparent", ["", "nonsense", f"00-{TRACE}-{PARENT}-00", f"00-{TRACE}-{PARENT}-zz"]
)
async def test_a_row_that_tells_no_trace_goes_out_as_it_is(
    publisher: TracedPublisher, scripted: Scripted, traceparent: str
) -> None:
    message = msgspec.structs.replace(event(1), traceparent=traceparent)
    publisher.publish(1, message, "tms.events")
    scripted.told = [(1, Outcome.CONFIRMED)]
    assert [(1, Outcome.CONFIRMED)] == await publisher.outcomes()
    assert {1: message} == scripted.published
    assert 3 == publisher.room


async def test_a_defect_of_the_exporter_is_told_once_and_costs_no_publish(
    publisher: TracedPublisher, scripted: Scripted, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(traces._tracer, "start_span", fail)
    with capture_logs() as lines:
        for key in (1, 2):
            publisher.publish(key, event(key), "tms.events")
            scripted.told = [(key, Outcome.CONFIRMED)]
            assert [(key, Outcome.CONFIRMED)] == await publisher.outcomes()
    assert ["a span could not be written down"] == [line["event"] for line in lines]
