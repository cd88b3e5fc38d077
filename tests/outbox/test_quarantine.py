import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.outbox.outboxes import (
    Clock,
    accept,
    event,
    hold,
    ids_waiting,
    killed,
    on_disk,
    open_journal,
    quarantine,
    quiet,
    undecodable,
    waiting,
)

from tms_bridge.errors import Unavailable
from tms_bridge.outbox.database import Store
from tms_bridge.outbox.rows import State, pack
from tms_bridge.settings.model import Quarantine


async def test_a_quarantined_body_is_kept_and_its_copy_is_pending(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    answer = await quarantine(journal, undecodable(1))
    kept = await journal.operators.rows([State.UNDECODABLE], with_body=True)
    copies = await waiting(journal)
    await journal.close()
    assert undecodable(1).id == answer.id
    assert [(undecodable(1), "not JSON", 1)] == [(row.message, row.reason, row.seen) for row in kept]
    assert [undecodable(1)] == [entry.message for entry in copies]


async def test_an_equal_body_in_the_window_is_the_same_row_seen_again(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    answers = await asyncio.gather(*(quarantine(journal, undecodable(n, digest="d")) for n in range(3)))
    answers.append(await quarantine(journal, undecodable(9, digest="d")))
    await quiet(journal)
    (row,) = await journal.operators.rows([State.UNDECODABLE], with_body=True)
    pending = await ids_waiting(journal)
    await journal.close()
    assert [undecodable(0).id] * 4 == [one.id for one in answers]
    assert 4 == row.seen
    assert [undecodable(0).id] == pending


async def test_an_equal_body_after_the_window_is_a_new_row(tmp_path: Path) -> None:
    clock = Clock()
    journal = await open_journal(tmp_path, clock=clock)
    await quarantine(journal, undecodable(1, digest="d"))
    clock.now_s += 119
    second = await quarantine(journal, undecodable(2, digest="d"))
    clock.now_s += 2
    third = await quarantine(journal, undecodable(3, digest="d"))
    await journal.close()
    assert [undecodable(1).id, undecodable(3).id] == [second.id, third.id]


async def test_a_row_goes_on_counting_after_a_kill(tmp_path: Path) -> None:
    clock = Clock()
    journal = await open_journal(tmp_path / "a", clock=clock)
    for number in range(300):
        await quarantine(journal, undecodable(number))
        clock.now_s += 1
    copy = await killed(journal, tmp_path / "a", tmp_path / "b")
    journal = await open_journal(copy, clock=clock)
    recent = await quarantine(journal, undecodable(1000, digest=undecodable(299).digest))
    old = await quarantine(journal, undecodable(1001, digest=undecodable(100).digest))
    await journal.close()
    assert [undecodable(299).id, undecodable(1001).id] == [recent.id, old.id]


async def test_a_full_quarantine_refuses_undecodable_bodies_alone(tmp_path: Path) -> None:
    size = len(pack(undecodable(1)))
    journal = await open_journal(tmp_path, quarantine=Quarantine(max_bytes=size))
    await quarantine(journal, undecodable(1))
    with pytest.raises(Unavailable, match=r"the quarantine holds its \d+ bytes \(quarantine.max_bytes\)"):
        await quarantine(journal, undecodable(2))
    seen_again = await quarantine(journal, undecodable(3, digest=undecodable(1).digest))
    accepted = await accept(journal, event(4))
    held = await hold(journal, event(5))
    await journal.close()
    assert (undecodable(1).id, 2, 3) == (seen_again.id, accepted.seq, held.seq)


async def test_a_body_that_could_not_be_kept_is_not_remembered(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    journal._snapshot = msgspec.structs.replace(journal._snapshot, full="no room")
    with pytest.raises(Unavailable, match="no room"):
        await quarantine(journal, undecodable(1, digest="d"))
    await journal.status()
    answer = await quarantine(journal, undecodable(2, digest="d"))
    await journal.close()
    assert undecodable(2).id == answer.id


async def test_undecodable_bodies_grow_too_old_but_held_events_do_not(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, quarantine=Quarantine(max_age_days=30))
    await quarantine(journal, undecodable(1, received_s=1_000_000_000))
    await quarantine(journal, undecodable(2))
    await hold(journal, event(3))
    await journal._writer.call(Store.look)
    left = [row.message.id for row in await journal.operators.rows([State.UNDECODABLE], with_body=True)]
    held = [row.message.id for row in await journal.operators.rows([State.HELD], with_body=True)]
    totals = (await journal.status()).undecodable
    await journal.close()
    assert ([undecodable(2).id], [event(3).id], 1) == (left, held, totals)


async def test_a_held_event_is_kept_unpublished_and_its_retry_recognised(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path / "a")
    receipt = await hold(journal, event(1, digest="d"))
    copy = await killed(journal, tmp_path / "a", tmp_path / "b")
    journal = await open_journal(copy)
    retry = await hold(journal, event(2, digest="d"))
    pending = await ids_waiting(journal)
    counted = await on_disk(journal, "SELECT count(*) FROM quarantine WHERE state = 'held'")
    await journal.close()
    assert (event(1).id, "", False) == (receipt.id, receipt.routing_key, receipt.duplicate)
    assert (event(1).id, "", True) == (retry.id, retry.routing_key, retry.duplicate)
    assert ([], [(1,)]) == (pending, counted)
