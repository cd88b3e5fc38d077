import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.outbox.outboxes import (
    Clock,
    accept,
    answer_retry,
    event,
    hold,
    ids_waiting,
    quarantine,
    recall,
    undecodable,
    waiting,
)

from tms_bridge.errors import Unavailable
from tms_bridge.outbox import memory
from tms_bridge.outbox.memory import MemoryOutbox

if TYPE_CHECKING:
    from tms_bridge.outbox.contract import Intake, Pending


async def test_an_event_is_durable_once_the_broker_has_it() -> None:
    outbox = MemoryOutbox(120)
    intake: Intake = outbox
    relay: Pending = outbox
    accepting = asyncio.ensure_future(accept(intake, event(1)))
    (entry,) = await relay.page(0, 10)
    before = accepting.done()
    relay.settle(entry.seq)
    relay.settle(entry.seq)
    receipt = await accepting
    assert ("broker", event(1), False) == (intake.durable, entry.message, before)
    assert (event(1).id, entry.seq, False) == (receipt.id, receipt.seq, receipt.duplicate)
    assert 0 == outbox.events


async def test_a_retry_joins_what_its_first_request_did_not_wait_for() -> None:
    outbox = MemoryOutbox(120)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await accept(outbox, event(1, digest="d"))
    retry = asyncio.ensure_future(accept(outbox, event(2, digest="d")))
    entries = await waiting(outbox)
    outbox.settle(entries[0].seq)
    receipt = await retry
    assert [event(1).id] == [entry.message.id for entry in entries]
    assert (event(1).id, True) == (receipt.id, receipt.duplicate)


async def test_a_confirmed_event_is_recognised_until_it_is_answered() -> None:
    outbox = MemoryOutbox(120)
    accepting = asyncio.ensure_future(accept(outbox, event(1, digest="d")))
    await asyncio.sleep(0)
    outbox.settle(1)
    receipt = await accepting
    await answer_retry(outbox, receipt.digest)
    answered = await recall(outbox, "d")
    outbox.unanswered(receipt)
    unanswered = await recall(outbox, "d")
    assert answered is None
    assert unanswered is not None
    assert (event(1).id, True) == (unanswered.id, unanswered.duplicate)


async def test_a_leftover_is_dropped_when_its_window_is_over() -> None:
    clock = Clock()
    outbox = MemoryOutbox(120, clock=clock)
    for number in (1, 2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await accept(outbox, event(number))
        clock.now_s += 60
    clock.now_s += 1
    assert [event(2).id] == await ids_waiting(outbox)
    assert 1 == outbox.events
    clock.now_s += 120
    assert [] == await ids_waiting(outbox)


async def test_its_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES", 10)
    outbox = MemoryOutbox(120, max_events=2)
    accepting = [asyncio.ensure_future(accept(outbox, event(number))) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="wait for the broker's confirm"):
        await accept(outbox, event(3))
    outbox.settle(1)
    with pytest.raises(Unavailable, match="wait for the broker's confirm"):
        await accept(outbox, event(4, body=bytes(9)))
    outbox.settle(2)
    await asyncio.gather(*accepting)


async def test_an_event_that_no_retry_can_deliver_is_refused_to_its_sender() -> None:
    outbox = MemoryOutbox(120)
    accepting = asyncio.ensure_future(accept(outbox, event(1, digest="d")))
    await asyncio.sleep(0)
    outbox.refuse(1, "frame too large")
    outbox.refuse(1, "frame too large")
    with pytest.raises(Unavailable, match="the broker cannot take this event: frame too large"):
        await accepting
    assert await recall(outbox, "d") is None


async def test_nothing_can_be_held() -> None:
    with pytest.raises(Unavailable, match="that needs an outbox on disk"):
        await hold(MemoryOutbox(120), event(1))


async def test_a_quarantined_body_is_safe_once_the_broker_has_its_copy() -> None:
    outbox = MemoryOutbox(120)
    first = asyncio.ensure_future(quarantine(outbox, undecodable(1, digest="d")))
    second = asyncio.ensure_future(quarantine(outbox, undecodable(2, digest="d")))
    entries = await waiting(outbox)
    unsafe = first.done() or second.done()
    outbox.settle(entries[0].seq)
    answers = [await first, await second, await quarantine(outbox, undecodable(3, digest="d"))]
    assert ([undecodable(1, digest="d")], False) == ([entry.message for entry in entries], unsafe)
    assert [undecodable(1).id] * 3 == [one.id for one in answers]
