import asyncio
import re
from pathlib import Path

import pytest
from tests.outbox.outboxes import (
    Clock,
    Told,
    accept,
    answer,
    answer_retry,
    digest_of,
    event,
    ids_waiting,
    killed,
    on_disk,
    open_journal,
    quiet,
    recall,
    waiting,
)
from tests.waiting import patience

from tms_bridge.errors import Unavailable
from tms_bridge.outbox.database import Store
from tms_bridge.outbox.memory import TAIL_BYTES, Tail
from tms_bridge.outbox.rows import State, pack


async def test_an_accepted_event_is_pending_and_survives_a_restart(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await answer(journal, event(1))
    await journal.close()
    journal = await open_journal(tmp_path)
    entries = await waiting(journal)
    await journal.close()
    assert [(1, event(1))] == [(entry.seq, entry.message) for entry in entries]


async def test_a_settled_event_is_gone_after_a_restart(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    for number in (1, 2, 3):
        await accept(journal, event(number))
    journal.settle(2)
    journal.settle(2)
    await journal.close()
    journal = await open_journal(tmp_path)
    pending = await ids_waiting(journal)
    stats = journal.stats()
    await journal.close()
    assert [event(1).id, event(3).id] == pending
    assert (2, 2 * len(pack(event(1))), 3) == (stats.events, stats.bytes, stats.last_seq)


async def test_the_directory_and_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path / "var" / "outbox")
    await accept(journal, event(1))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "var" / "outbox").iterdir()}
    directory_mode = (tmp_path / "var" / "outbox").stat().st_mode & 0o777
    await journal.close()
    assert 0o700 == directory_mode
    assert dict.fromkeys(("outbox.db", "outbox.db-wal", "answered.ring", "ballast", "lock"), 0o600) == modes


async def test_every_commit_is_synced_and_the_log_is_write_ahead(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    pragmas = [
        await on_disk(journal, f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "locking_mode")
    ]
    await journal.close()
    assert [[("wal",)], [(2,)], [("exclusive",)]] == pragmas


async def test_a_concurrent_equal_body_joins_the_first_ones_commit(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    first, retry = await asyncio.gather(
        accept(journal, event(1, digest="d")), accept(journal, event(2, digest="d"))
    )
    pending = await ids_waiting(journal)
    await journal.close()
    assert [event(1).id] == pending
    assert [(event(1).id, False), (event(1).id, True)] == [
        (first.id, first.duplicate),
        (retry.id, retry.duplicate),
    ]


async def test_a_new_body_is_not_joined_to_anything(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    told = Told(journal)
    joined = journal.join("new", told)
    await journal.close()
    assert (False, False) == (joined, told.told.done())


async def test_a_waiter_that_gives_up_leaves_the_event_to_its_retry(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    impatient = asyncio.ensure_future(accept(journal, event(1, digest="d")))
    await asyncio.sleep(0)
    impatient.cancel()
    retry = await accept(journal, event(2, digest="d"))
    await asyncio.wait({impatient})
    pending = await ids_waiting(journal)
    await journal.close()
    assert (event(1).id, True) == (retry.id, retry.duplicate)
    assert [event(1).id] == pending


async def test_many_waiters_share_few_commits(tmp_path: Path) -> None:
    commits: list[int] = []
    journal = await open_journal(tmp_path, on_commit=lambda _, rows: commits.append(rows))
    await asyncio.gather(*(answer(journal, event(number)) for number in range(300)))
    await journal.close()
    assert [256, 44] == commits


async def test_settling_a_few_rows_writes_nothing_until_others_come_along(tmp_path: Path) -> None:
    commits: list[int] = []
    journal = await open_journal(tmp_path, on_commit=lambda _, rows: commits.append(rows))
    await asyncio.gather(*(answer(journal, event(number)) for number in range(10)))
    for seq in range(1, 6):
        journal.settle(seq)
    await answer(journal, event(11))
    await quiet(journal)
    stats = journal.stats()
    await journal.close()
    assert [10, 1] == commits
    assert 6 == stats.events


async def test_settled_rows_go_by_themselves_when_nothing_else_happens(tmp_path: Path) -> None:
    committed = asyncio.Event()
    journal = await open_journal(tmp_path, on_commit=lambda _, rows: None if rows else committed.set())
    await accept(journal, event(1))
    journal.settle(1)
    async with patience():
        await committed.wait()
    stats = journal.stats()
    await journal.close()
    assert 0 == stats.events


async def test_many_settled_rows_wake_the_writer_at_once(tmp_path: Path) -> None:
    commits: list[int] = []
    journal = await open_journal(tmp_path, on_commit=lambda _, rows: commits.append(rows))
    await asyncio.gather(*(answer(journal, event(number)) for number in range(100)))
    for seq in range(1, 101):
        journal.settle(seq)
    await quiet(journal)
    counted = await on_disk(journal, "SELECT count(*) FROM pending")
    await journal.close()
    assert [(0,)] == counted
    assert [100, 0] == commits


async def test_page_waits_for_the_next_event(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    page = asyncio.ensure_future(journal.page(0, 10))
    await asyncio.sleep(0)
    await accept(journal, event(1))
    entries = await page
    await journal.close()
    assert [event(1)] == [entry.message for entry in entries]


async def test_page_reads_a_backlog_from_disk_and_goes_on_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tail.__init__, "__kwdefaults__", {"max_entries": 8, "max_bytes": TAIL_BYTES})
    journal = await open_journal(tmp_path)
    for start in range(0, 100, 20):
        await asyncio.gather(*(accept(journal, event(number)) for number in range(start, start + 20)))
    journal.settle(3)
    journal.refuse(5, "too long")
    seen: list[int] = []
    while len(seen) < 98:
        seen += [entry.seq for entry in await journal.page(seen[-1] if seen else 0, 7)]
    await journal.close()
    assert [seq for seq in range(1, 101) if seq not in {3, 5}] == seen


async def test_page_skips_what_has_left_but_is_not_deleted_yet(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(accept(journal, event(number)) for number in range(4)))
    await journal.close()
    journal = await open_journal(tmp_path)
    for seq in (1, 2, 4):
        journal.settle(seq)
    seen = [entry.seq for entry in await waiting(journal)]
    nothing = await waiting(journal, after=3)
    await journal.close()
    assert ([3], []) == (seen, nothing)


async def test_a_relay_may_go_back_to_what_it_skipped(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(accept(journal, event(number)) for number in range(6)))
    first = await journal.page(0, 10)
    for seq in (1, 3, 6):
        journal.settle(seq)
    again = await journal.page(0, 10)
    await journal.close()
    assert [1, 2, 3, 4, 5, 6] == [entry.seq for entry in first]
    assert [2, 4, 5] == [entry.seq for entry in again]


async def test_a_page_of_large_bodies_is_short(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(accept(journal, event(number, body=bytes(3 << 20))) for number in range(3)))
    await journal.close()
    journal = await open_journal(tmp_path)
    page = await journal.page(0, 10)
    await journal.close()
    assert [1, 2] == [entry.seq for entry in page]


async def test_a_full_outbox_refuses_and_takes_again_when_something_has_left(tmp_path: Path) -> None:
    size = len(pack(event(1)))
    journal = await open_journal(tmp_path, max_bytes=2 * size)
    taken = await asyncio.gather(*(accept(journal, event(n)) for n in range(3)), return_exceptions=True)
    refused = re.escape(f"the outbox holds its {2 * size} bytes (outbox.max_bytes)")
    with pytest.raises(Unavailable, match=refused):
        await accept(journal, event(4))
    unavailable = journal.stats().unavailable
    journal.settle(1)
    await quiet(journal)
    receipt = await accept(journal, event(5))
    await journal.close()
    assert [1, 2, Unavailable] == [getattr(one, "seq", type(one)) for one in taken]
    assert ("", 3) == (unavailable, receipt.seq)


async def test_nothing_is_remembered_of_what_was_refused(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, max_bytes=10)
    with pytest.raises(Unavailable):
        await accept(journal, event(1, digest="d"))
    recalled = await recall(journal, "d")
    await journal.close()
    assert recalled is None


async def test_a_refused_event_is_parked_and_its_retry_still_recognised(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path / "a")
    receipt = await accept(journal, event(1, digest="d"))
    journal.refuse(receipt.seq, "frame too large")
    journal.refuse(receipt.seq, "again")
    copy = await killed(journal, tmp_path / "a", tmp_path / "b")
    journal = await open_journal(copy)
    retry = await accept(journal, event(2, digest="d"))
    parked = await journal.operators.rows([State.REFUSED], with_body=True)
    stats = journal.stats()
    await journal.close()
    assert (event(1).id, True) == (retry.id, retry.duplicate)
    assert [(event(1, digest="d"), "frame too large")] == [(row.message, row.why) for row in parked]
    assert (0, 1) == (stats.events, stats.refused)


async def test_a_settled_event_that_was_never_answered_is_recognised_after_a_kill(tmp_path: Path) -> None:
    clock = Clock()
    journal = await open_journal(tmp_path / "a", clock=clock)
    receipt = await accept(journal, event(1, digest="d"))
    journal.settle(receipt.seq)
    copy = await killed(journal, tmp_path / "a", tmp_path / "b")
    journal = await open_journal(copy, clock=clock)
    retry = await accept(journal, event(2, digest="d"))
    await quiet(journal)  # its answer that did not get through is noted
    clock.now_s += 121
    await journal._writer.call(Store.look)
    swept = await on_disk(journal, "SELECT * FROM receipts")
    later = await accept(journal, event(3, digest="d"))
    await journal.close()
    assert [] == swept
    assert [(event(1).id, True), (event(3).id, False)] == [
        (retry.id, retry.duplicate),
        (later.id, later.duplicate),
    ]


@pytest.mark.parametrize("settled", [False, True])
async def test_an_answer_that_failed_is_owed_again_even_after_a_kill(
    tmp_path: Path, *, settled: bool
) -> None:
    journal = await open_journal(tmp_path / "a")
    receipt = await accept(journal, event(1, digest="d"))
    await answer_retry(journal, receipt.digest)
    if settled:
        journal.settle(receipt.seq)
        await quiet(journal)
    journal.unanswered(receipt)
    copy = await killed(journal, tmp_path / "a", tmp_path / "b")
    journal = await open_journal(copy)
    retry = await accept(journal, event(2, digest="d"))
    await journal.close()
    assert (event(1).id, True) == (retry.id, retry.duplicate)


async def test_one_failed_answer_takes_nothing_back_while_another_stands(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    first, retry = await asyncio.gather(
        answer(journal, event(1, digest="d")), answer(journal, event(2, digest="d"))
    )
    assert (first.id, True) == (retry.id, retry.duplicate)
    journal.unanswered(first)
    second_event = await accept(journal, event(3, digest="d"))
    await journal.close()
    assert (event(3).id, False) == (second_event.id, second_event.duplicate)


async def test_the_backlog_is_not_read_at_start(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(accept(journal, event(number)) for number in range(300)))
    await journal.close()
    journal = await open_journal(tmp_path)
    stats, head = journal.stats(), len(journal._tail.after(300, 10))
    await journal.close()
    assert (300, 0, event(0).received_at_us) == (stats.events, head, stats.oldest_us)


async def test_a_closed_outbox_takes_nothing(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await journal.close()
    with pytest.raises(Unavailable, match="the outbox is closed"):
        await accept(journal, event(1))


async def test_the_journals_own_settings_have_defaults(tmp_path: Path) -> None:
    from tms_bridge.outbox.journal import Journal  # noqa: PLC0415 - only this test opens it bare
    from tms_bridge.settings.model import Outbox  # noqa: PLC0415 - as above

    journal = await Journal.open(Outbox(dir=str(tmp_path), min_free_bytes=0))
    receipt = await accept(journal, event(1, digest=digest_of("x")))
    stats = journal.stats()
    await journal.close()
    assert 1 == receipt.seq
    assert stats.free_bytes > 0
