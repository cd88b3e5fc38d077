"""The relay as a whole, between an outbox in memory and brokers that do what the test says."""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.waiting import PATIENCE_S, patience, until

from tms_bridge.calls import Calls
from tms_bridge.errors import OutboxBroken, PublisherClosed
from tms_bridge.message import UNROUTABLE_EXCHANGE, Kind, Message, Outcome
from tms_bridge.metrics import PublishMetrics
from tms_bridge.outbox.contract import OutboxEntry
from tms_bridge.relay import Relay, clocks
from tms_bridge.relay.loop import PAGE_LIMIT
from tms_bridge.relay.publisher import Publisher
from tms_bridge.settings.model import Amqp

SETTINGS = Amqp(urls=("amqp://localhost",), max_outstanding=8)


def message(entity: str, key: str = "tms.class.scheduled") -> Message:
    return Message(
        id=entity,
        kind=Kind.EVENT,
        source="contoso",
        trigger="class",
        status="scheduled",
        routing_key=key,
        entity=entity,
        received_at_us=0,
        digest="",
        traceparent="",
        body=b"{}",
    )


def uncounted() -> PublishMetrics:
    """Return metrics that nobody reads."""
    return PublishMetrics(CollectorRegistry())


class Shelf:
    """An outbox in memory."""

    def __init__(self) -> None:
        self.rows: dict[int, Message] = {}
        self.refused: dict[int, str] = {}
        self.broken = False
        self.leaving = 0
        self.asked_after = -1
        self.last_seq = 0
        self._seqs = itertools.count(1)
        self._changed = asyncio.Condition()

    async def add(self, *messages: Message) -> None:
        async with self._changed:
            for each in messages:
                self.last_seq = next(self._seqs)
                self.rows[self.last_seq] = each
            self._changed.notify_all()

    async def page(self, after: int, limit: int, *, wait: bool = True) -> Sequence[OutboxEntry]:
        self.asked_after = after
        async with self._changed:
            if wait:
                await self._changed.wait_for(lambda: self.broken or any(seq > after for seq in self.rows))
        if self.broken:
            raise OutboxBroken("fsync failed")
        return [OutboxEntry(seq, row) for seq, row in self.rows.items() if seq > after][:limit]

    def settle(self, seq: int) -> None:
        del self.rows[seq]

    def refuse(self, seq: int, reason: str) -> None:
        del self.rows[seq]
        self.refused[seq] = reason

    async def breaks(self) -> None:
        async with self._changed:
            self.broken = True
            self._changed.notify_all()

    async def empty(self) -> None:
        await until(lambda: not self.rows)

    async def taken(self, seq: int) -> None:
        """Wait until the relay has all up to here, and so has published what of it may go."""
        await until(lambda: self.asked_after >= seq)


class ScriptedPublisher:
    """Answers each publish as its broker's rule says; None: no answer."""

    def __init__(self, broker: "ScriptedBroker") -> None:
        self._broker = broker
        self._outcomes: deque[tuple[int, Outcome]] = deque()
        self._changed = asyncio.Event()
        self._closed: PublisherClosed | None = None
        self.room = 100

    def publish(self, key: int, message: Message, exchange: str) -> None:
        self._broker.published.append((message.id, exchange))
        answer = self._broker.answer(message, exchange)
        if isinstance(answer, PublisherClosed):
            self.fail(answer)
        elif answer is not None:
            self._outcomes.append((key, answer))
            self._changed.set()

    async def outcomes(self) -> list[tuple[int, Outcome]]:
        await self._changed.wait()
        if self._outcomes:
            outcomes = list(self._outcomes)
            self._outcomes.clear()
            if self._closed is None:
                self._changed.clear()
            return outcomes
        if self._closed is not None:
            raise self._closed
        self._changed.clear()
        return []

    def hand_over(self, key: int, outcome: Outcome) -> None:
        self._outcomes.append((key, outcome))
        self._changed.set()

    def fail(self, closed: PublisherClosed) -> None:
        self._closed = closed
        self._changed.set()

    def make_room(self, room: int) -> None:
        self.room = room
        self._changed.set()

    async def close(self) -> None:
        self.fail(PublisherClosed("closed on request"))


Answer = Outcome | PublisherClosed | None


class ScriptedBroker:
    """Opens publishers at once, unless it is away."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []
        self.publishers: list[ScriptedPublisher] = []
        self.answer: Callable[[Message, str], Answer] = lambda _message, _exchange: Outcome.CONFIRMED
        self.there = asyncio.Event()
        self.there.set()

    async def connect(self) -> Publisher:
        await self.there.wait()
        self.publishers.append(ScriptedPublisher(self))
        return self.publishers[-1]

    async def open_publishers(self, count: int) -> ScriptedPublisher:
        await until(lambda: len(self.publishers) >= count)
        return self.publishers[-1]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def broker() -> ScriptedBroker:
    return ScriptedBroker()


@contextlib.asynccontextmanager
async def carrying(
    shelf: Shelf, broker: ScriptedBroker, metrics: PublishMetrics | None = None, settings: Amqp = SETTINGS
) -> AsyncIterator[Relay]:
    """Run a relay for as long as the context lasts."""
    relay = Relay(shelf, broker, metrics or uncounted(), Calls(), structlog.get_logger(), settings)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def relay(shelf: Shelf, broker: ScriptedBroker) -> AsyncIterator[Relay]:
    async with carrying(shelf, broker) as relay:
        yield relay


async def test_what_is_pending_is_published_and_settled(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker
) -> None:
    await shelf.add(message("1"), message("2"))
    await shelf.empty()
    assert broker.published == [("1", "tms.events"), ("2", "tms.events")]
    assert relay.connected


async def test_no_more_than_max_outstanding_are_in_flight(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker
) -> None:
    broker.answer = lambda _message, _exchange: None
    await shelf.add(*(message(str(entity)) for entity in range(50)))
    await shelf.taken(50)
    assert relay.outstanding == 8
    assert len(broker.published) == 8
    broker.publishers[-1].hand_over(1, Outcome.CONFIRMED)
    await until(lambda: len(broker.published) > 8)
    assert [name for name, _ in broker.published] == [str(entity) for entity in range(9)]
    assert relay.outstanding == 8


async def test_a_publisher_without_room_gets_nothing_until_it_has_some(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker
) -> None:
    publisher = await broker.open_publishers(1)
    publisher.room = 0
    await shelf.add(message("1"))
    await shelf.taken(1)
    assert broker.published == []
    publisher.make_room(1)
    await shelf.empty()
    assert relay.outstanding == 0


async def test_what_the_outbox_has_not_deleted_yet_counts_as_in_flight(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tms_bridge.relay.loop._STUCK_AFTER_S", 60.0)
    await broker.open_publishers(1)
    shelf.leaving = 6
    broker.answer = lambda _message, _exchange: None
    await shelf.add(*(message(str(entity)) for entity in range(50)))
    await shelf.taken(50)
    assert relay.outstanding == 2
    shelf.leaving = 0
    await until(lambda: relay.outstanding == 8)


async def test_a_backlog_gives_way_to_what_arrives(
    shelf: Shelf, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tms_bridge.relay.clocks.NEAR", 100)
    monkeypatch.setattr("tms_bridge.relay.clocks.RATE", 2000.0)
    # On a busy machine the arrivals below may come late; that must not pass for a break between them.
    monkeypatch.setattr("tms_bridge.relay.clocks.RECENT_S", 60.0)
    # Nor may two that come late at once pass for many a second, with which the backlog would hurry.
    monkeypatch.setattr("tms_bridge.relay.clocks._AHEAD", 0)
    # What is read goes out at once: what waited for outcomes would be published when they come, all together.
    at_once = msgspec.structs.replace(SETTINGS, max_outstanding=2000)
    await shelf.add(*(message(str(entity)) for entity in range(1200)))
    began = asyncio.get_running_loop().time()
    async with carrying(shelf, broker, settings=at_once):
        while len(broker.published) < 1000:
            shelf.last_seq += 1
            await asyncio.sleep(0.005)
    took_s = asyncio.get_running_loop().time() - began
    assert took_s > (1000 - 3 * PAGE_LIMIT) / 2000


async def test_an_outbox_that_cannot_delete_does_not_stop_what_waits(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tms_bridge.relay.loop._STUCK_AFTER_S", 0.05)
    await broker.open_publishers(1)
    shelf.leaving = 8
    await shelf.add(message("1"))
    await shelf.empty()
    assert relay.connected


async def test_what_was_in_flight_is_sent_again_on_the_next_connection(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker
) -> None:
    answers: deque[Answer] = deque([None, None, PublisherClosed("reset")])
    broker.answer = lambda _message, _exchange: answers.popleft() if answers else Outcome.CONFIRMED
    await shelf.add(*(message(str(entity)) for entity in range(3)))
    await shelf.empty()
    assert [name for name, _ in broker.published] == ["0", "1", "2", "0", "1", "2"]
    assert relay.connected


async def test_a_nacked_key_is_read_again_from_the_outbox_once_it_opens(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker
) -> None:
    full = True
    broker.answer = lambda m, _: Outcome.NACKED if full and m.routing_key == "full" else Outcome.CONFIRMED
    await shelf.add(message("1", "full"), message("2", "full"), message("1"), message("3"))
    await until(lambda: ("3", "tms.events") in broker.published and not relay.outstanding)
    assert [row.entity for row in shelf.rows.values()] == ["1", "2", "1"]
    full = False
    await shelf.empty()


@pytest.mark.usefixtures("relay")
async def test_what_is_new_goes_out_while_what_a_full_queue_held_up_is_still_read(
    shelf: Shelf, broker: ScriptedBroker
) -> None:
    full, crowd = True, 3000
    broker.answer = lambda m, _: Outcome.NACKED if full and m.routing_key == "full" else Outcome.CONFIRMED
    await shelf.add(*(message(str(entity), "full") for entity in range(crowd)))
    await shelf.taken(crowd)
    full = False
    await until(lambda: len(shelf.rows) < crowd)
    await shelf.add(message("new"))
    await shelf.empty()
    sent = list(dict.fromkeys(entity for entity, _ in broker.published))
    assert sent.index("new") < crowd - PAGE_LIMIT
    sent.remove("new")
    assert [str(entity) for entity in range(crowd)] == sent


async def test_a_returned_event_ends_in_the_unroutable_exchange(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker
) -> None:
    broker.answer = lambda _, exchange: Outcome.RETURNED if exchange == "tms.events" else Outcome.CONFIRMED
    await shelf.add(message("1"))
    await shelf.empty()
    assert broker.published == [("1", "tms.events"), ("1", UNROUTABLE_EXCHANGE)]
    assert shelf.refused == {}
    assert relay.outstanding == 0


async def test_draining_waits_for_the_last_confirm(relay: Relay, shelf: Shelf) -> None:
    await shelf.add(*(message(str(entity)) for entity in range(100)))
    assert await relay.drain(PATIENCE_S)
    assert shelf.rows == {}


async def test_draining_gives_up_when_time_is_up(relay: Relay, shelf: Shelf, broker: ScriptedBroker) -> None:
    broker.answer = lambda _message, _exchange: None
    await broker.open_publishers(1)
    await shelf.add(message("1"))
    assert not await relay.drain(0.5)
    assert list(shelf.rows) == [1]


async def test_draining_does_not_wait_for_an_absent_broker(shelf: Shelf, broker: ScriptedBroker) -> None:
    broker.there.clear()
    async with carrying(shelf, broker) as relay, patience():
        await shelf.add(message("1"))
        assert not await relay.drain(2 * PATIENCE_S)


def fail_once(monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    """Let the first confirm meet an error that nobody foresaw."""
    faults: list[Exception] = [ValueError("nobody foresaw this")]

    def settle(seq: int) -> None:
        if faults:
            raise faults.pop()
        Shelf.settle(shelf, seq)

    monkeypatch.setattr(shelf, "settle", settle)


async def test_a_message_that_our_own_code_cannot_publish_is_parked_and_the_others_go_on(
    shelf: Shelf, broker: ScriptedBroker
) -> None:
    def answer(message: Message, _exchange: str) -> Answer:
        if message.entity == "2":
            raise KeyError("of a defect")
        return Outcome.CONFIRMED

    broker.answer = answer
    registry = CollectorRegistry()
    with capture_logs() as lines:
        async with carrying(shelf, broker, PublishMetrics(registry)):
            await shelf.add(*(message(entity) for entity in "1222345"))
            await shelf.empty()
    assert shelf.refused == dict.fromkeys([2, 3, 4], "a defect of the bridge: KeyError: 'of a defect'")
    assert registry.get_sample_value("tms_bridge_relay_faults_total") == 3
    assert len(broker.publishers) == 1
    assert {"a defect keeps a message from going out"} == {
        line["event"] for line in lines if line["log_level"] == "error"
    }


async def test_a_topic_that_no_queue_wants_is_told_once_a_minute(
    shelf: Shelf, broker: ScriptedBroker
) -> None:
    broker.answer = lambda _, exchange: Outcome.RETURNED if exchange == "tms.events" else Outcome.CONFIRMED
    with capture_logs() as lines:
        async with carrying(shelf, broker):
            await shelf.add(*(message(str(entity)) for entity in range(30)), message("x", "tms.class.denied"))
            await shelf.empty()
    warned = [line["routing_key"] for line in lines if "no queue is bound" in line["event"]]
    assert ["tms.class.scheduled", "tms.class.denied"] == warned


async def test_what_a_full_queue_holds_up_is_told(shelf: Shelf, broker: ScriptedBroker) -> None:
    full = True
    broker.answer = lambda *_: Outcome.NACKED if full else Outcome.CONFIRMED
    with capture_logs() as lines:
        async with carrying(shelf, broker) as relay:
            await shelf.add(*(message(str(entity)) for entity in range(30)))
            await until(lambda: relay.lanes_blocked == 1)
            full = False
            await shelf.empty()
    said = [line for line in lines if line["log_level"] in ("info", "warning")]
    assert ["the broker refuses these", "nothing is held up by"] == [
        " ".join(line["event"].split()[:4]) if "refuses" in line["event"] else line["event"][:21]
        for line in said
    ]
    assert ["tms.class.scheduled"] == list(said[0]["waiting"])


async def test_a_fault_costs_a_connection_but_no_message(
    shelf: Shelf, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tms_bridge.relay.loop._FAULT_PAUSE_S", 0.01)
    fail_once(monkeypatch, shelf)
    registry = CollectorRegistry()
    async with carrying(shelf, broker, PublishMetrics(registry)):
        await shelf.add(message("1"), message("2"))
        await shelf.empty()
    assert registry.get_sample_value("tms_bridge_relay_faults_total") == 1
    assert len(broker.publishers) == 2


async def test_a_fault_while_much_waits_holds_up_nobody(
    shelf: Shelf, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tms_bridge.relay.loop._FAULT_PAUSE_S", 0.01)
    fail_once(monkeypatch, shelf)
    looks = 0

    async def page(after: int, limit: int, *, wait: bool = True) -> Sequence[OutboxEntry]:
        nonlocal looks
        looks += 1
        assert looks < 100, "the feeder asks again and again, and lets nobody else run"
        return await Shelf.page(shelf, after, limit, wait=wait)

    monkeypatch.setattr(shelf, "page", page)
    await shelf.add(*(message(str(entity)) for entity in range(600)))
    async with carrying(shelf, broker):
        await shelf.empty()
    assert broker.published[-1] == ("599", "tms.events")


async def test_a_relay_that_a_defect_has_ended_starts_over_when_it_is_run_again(
    shelf: Shelf, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(shelf, broker, uncounted(), Calls(), structlog.get_logger(), SETTINGS)
    broker.answer = lambda _message, _exchange: None
    running = asyncio.create_task(relay.run())
    await shelf.add(*(message(str(entity)) for entity in range(100)))
    await until(lambda: relay.outstanding == 8)
    monkeypatch.setattr(shelf, "page", None)  # what calls it meets a TypeError
    broker.publishers[-1].hand_over(1, Outcome.CONFIRMED)
    await shelf.add(message("100"))
    with pytest.raises(ExceptionGroup):
        await running
    monkeypatch.undo()
    broker.answer = lambda _message, _exchange: Outcome.CONFIRMED
    running = asyncio.create_task(relay.run())
    await shelf.empty()
    assert 2 == len(broker.publishers)
    running.cancel()
    await asyncio.wait([running])


async def test_draining_reads_again_what_a_late_probe_lets_through(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker
) -> None:
    answers: deque[Answer] = deque([Outcome.NACKED, None])
    broker.answer = lambda *_: answers.popleft() if answers else Outcome.CONFIRMED
    await shelf.add(message("1"), message("1"))
    await until(lambda: not answers and relay.outstanding > 0)
    draining = asyncio.create_task(relay.drain(PATIENCE_S))
    await until(lambda: relay._exhausted)
    broker.publishers[-1].hand_over(1, Outcome.CONFIRMED)
    assert await draining
    assert shelf.rows == {}


async def test_a_broken_outbox_ends_the_relay(shelf: Shelf, broker: ScriptedBroker) -> None:
    relay = Relay(shelf, broker, uncounted(), Calls(), structlog.get_logger(), SETTINGS)
    running = asyncio.create_task(relay.run())
    await broker.open_publishers(1)
    await shelf.breaks()
    with pytest.raises(ExceptionGroup) as ended:
        await running
    assert ended.group_contains(OutboxBroken)


async def test_a_connection_on_which_a_key_gets_nothing_but_nacks_is_exchanged_without_a_copy(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel is nacked for ever by a quorum queue that had no leader at the channel's first publish."""
    monkeypatch.setattr(clocks, "FIRST_AFTER_S", 0.2)
    stuck = "tms.class.denied"
    broker.answer = lambda message, _exchange: (
        Outcome.NACKED if message.routing_key == stuck and len(broker.publishers) == 1 else Outcome.CONFIRMED
    )
    await shelf.add(message("a", stuck), *(message(f"e{number}") for number in range(9)))
    await shelf.empty()
    assert 2 == len(broker.publishers)
    assert relay.connected
    sent = [event for event, _ in broker.published]
    assert ["a"] == sorted(event for event in set(sent) if sent.count(event) > 1)


async def test_a_connection_is_not_exchanged_while_a_confirm_is_awaited(
    relay: Relay, shelf: Shelf, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing pauses for it, goes on when the pause is over, and nothing in flight is given up."""
    monkeypatch.setattr(clocks, "FIRST_AFTER_S", 0.2)
    monkeypatch.setattr(clocks, "PAUSE_S", 0.2)
    answers: dict[str, Outcome | None] = {"full": Outcome.NACKED, "silent": None}
    broker.answer = lambda message, _exchange: answers.get(message.id, Outcome.CONFIRMED)
    await shelf.add(message("full", "tms.class.denied"), message("silent"))
    await until(lambda: relay._pausing)
    await shelf.add(message("later"))
    await until(lambda: "later" not in {row.id for row in shelf.rows.values()})
    assert 1 == len(broker.publishers)
    assert 1 == [event for event, _ in broker.published].count("silent")
