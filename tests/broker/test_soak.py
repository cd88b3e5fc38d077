"""Relay, supervisor and a real broker under a connection that is cut again and again."""

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from tests.waiting import patience

from tms_bridge.broker import Supervisor
from tms_bridge.calls import Calls
from tms_bridge.message import Message
from tms_bridge.metrics import PublishMetrics
from tms_bridge.outbox.contract import OutboxEntry
from tms_bridge.relay import Relay
from tms_bridge.settings.model import Amqp, Queue

EVENTS = 3000
ENTITIES = 300
MAX_OUTSTANDING = 64


class Shelf:
    """An outbox in memory that is full from the start."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.rows = dict(zip(itertools.count(1), messages, strict=False))
        self.last_seq = len(self.rows)
        self.refused: list[str] = []
        self.empty = asyncio.Event()

    async def page(self, after: int, limit: int, *, wait: bool = True) -> Sequence[OutboxEntry]:
        found = itertools.islice((seq for seq in self.rows if seq > after), limit)
        if (page := [OutboxEntry(seq, self.rows[seq]) for seq in found]) or not wait:
            return page
        await asyncio.get_running_loop().create_future()
        return []

    leaving = 0

    def settle(self, seq: int) -> None:
        del self.rows[seq]
        if not self.rows:
            self.empty.set()

    def refuse(self, _seq: int, reason: str) -> None:
        self.refused.append(reason)


@pytest.mark.long
async def test_resets_lose_nothing_overtake_nothing_and_copy_only_what_was_in_flight(
    bench: Any, proxy: Any, event: Callable[..., Message]
) -> None:
    shelf = Shelf([event(entity=str(number % ENTITIES)) for number in range(EVENTS)])
    sent = list(shelf.rows.values())
    registry = CollectorRegistry()
    metrics = PublishMetrics(registry)
    settings = Amqp(
        urls=(str(bench.url.with_port(proxy.port)),),
        max_outstanding=MAX_OUTSTANDING,
        queues=(Queue(name="crm", bindings=("#",)),),
    )
    log = structlog.get_logger()
    relay = Relay(shelf, Supervisor(settings, metrics, log), metrics, Calls(), log, settings)
    running = asyncio.create_task(relay.run())
    async with patience():
        for pause in (0.3, 0.1, 0.2, 0.15, 0.25):
            await asyncio.sleep(pause)
            proxy.reset()
        await shelf.empty.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running

    arrived = await drain(bench, "crm")
    assert set(arrived) == {message.id for message in sent}
    assert shelf.refused == []
    assert first_deliveries(arrived, sent) == in_order(sent)
    reconnects = registry.get_sample_value("tms_bridge_broker_reconnects_total") or 0
    assert len(arrived) - EVENTS <= MAX_OUTSTANDING * reconnects
    assert reconnects > 0


async def drain(bench: Any, queue: str) -> list[str]:
    """Take every message id out of a queue."""
    channel = await bench.channel()
    depth = await bench.depth(queue)
    return [(await channel.basic_get(queue, no_ack=True)).header.properties.message_id for _ in range(depth)]


def in_order(messages: Sequence[Message]) -> dict[str, list[str]]:
    order: dict[str, list[str]] = defaultdict(list)
    for message in messages:
        order[message.entity].append(message.id)
    return order


def first_deliveries(arrived: Sequence[str], sent: Sequence[Message]) -> dict[str, list[str]]:
    by_id = {message.id: message for message in sent}
    return in_order([by_id[name] for name in dict.fromkeys(arrived)])
