import asyncio
import errno
import os
import resource
from pathlib import Path

import pytest
from tests.outbox.outboxes import (
    ROOM,
    Carrying,
    accept,
    event,
    hold,
    ids_waiting,
    no_file_larger_than,
    on_disk,
    open_journal,
    quiet,
    recall,
)
from tests.waiting import patience, until

from tms_bridge.errors import Unavailable
from tms_bridge.outbox import files, group_commit
from tms_bridge.outbox.database import Store
from tms_bridge.outbox.files import Space, free_bytes
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.rows import OUTBOX, State


async def cap(journal: Journal, more_pages: int) -> None:
    """Let SQLite find the disk full after so many more pages."""
    ((pages,),) = await on_disk(journal, "PRAGMA page_count")
    assert isinstance(pages, int)
    await on_disk(journal, f"PRAGMA max_page_count = {pages + more_pages}")


async def fill(journal: Journal) -> int:
    """Accept events of a page each until the disk is full; return how many were taken."""
    for number in range(1000):
        try:
            await accept(journal, event(number, body=bytes(4096)))
        except Unavailable:
            return number
    raise AssertionError("it never filled up")


async def test_a_full_disk_refuses_events_drains_and_takes_them_again(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await cap(journal, 40)
    taken = await fill(journal)
    refused = journal.stats().unavailable
    ballast = (tmp_path / "ballast").exists()
    for seq in range(1, taken + 1):
        journal.settle(seq)
    await quiet(journal)
    drained = journal.stats().events
    await journal._writer.call(Store.look)
    await journal.status()
    receipt = await accept(journal, event(2000))
    pending = await ids_waiting(journal)
    await journal.close()
    assert taken > 5
    assert (f"the disk of {tmp_path} is full", False) == (refused, ballast)
    assert 0 == drained
    assert (tmp_path / "ballast").exists()
    assert [event(2000).id] == pending
    assert receipt.seq == taken + 1


async def test_departures_of_a_batch_are_written_though_its_events_do_not_fit(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await accept(journal, event(1))
    await cap(journal, 4)
    journal.settle(1)
    with pytest.raises(Unavailable, match="is full"):
        await accept(journal, event(2, body=bytes(1 << 20), digest="d"))
    recalled = await recall(journal, "d")
    stats = journal.stats()
    await journal.close()
    assert recalled is None
    assert 0 == stats.events


async def test_departures_that_find_no_room_at_all_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "STUCK_S", 0.01)
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(accept(journal, event(number, body=bytes(2000))) for number in range(3)))
    await cap(journal, 0)
    journal.refuse(1, "a reason that needs pages of its own " * 1000)
    journal.settle(2)
    await quiet(journal)
    stuck = [row.seq for row in await journal.operators.rows([State.PENDING], with_body=True)]
    not_given_again = await ids_waiting(journal)
    await on_disk(journal, "PRAGMA max_page_count = 1000000")
    async with patience():
        while journal._group.leaving:
            await quiet(journal)
    left = [row.seq for row in await journal.operators.rows([State.PENDING], with_body=True)]
    refused = [row.seq for row in await journal.operators.rows([State.REFUSED], with_body=True)]
    await journal.close()
    assert ([1, 2, 3], [event(2).id]) == (stuck, not_given_again)
    assert ([3], [1]) == (left, refused)


async def test_an_operators_deed_on_a_full_disk_says_so(tmp_path: Path) -> None:
    other = await open_journal(tmp_path / "other")
    await accept(other, event(9, body=bytes(200_000)))
    ((line,),) = [lines async for lines in other.operators.export([State.PENDING])]
    await other.close()
    journal = await open_journal(tmp_path)
    await hold(journal, event(1, body=bytes(100_000)))
    await cap(journal, 0)
    with pytest.raises(Unavailable, match="is full"):
        await journal.operators.import_lines([line])
    await journal.close()


async def test_under_the_floor_nothing_is_taken_until_there_is_room_again(tmp_path: Path) -> None:
    free = [ROOM]
    journal = await open_journal(tmp_path, min_free_bytes=1 << 30, free_bytes=lambda _: free[0])
    free[0] = 1000
    await journal._writer.call(Store.look)
    await journal.status()
    with pytest.raises(Unavailable, match=r"1000 bytes free, under the floor of 1073741824"):
        await accept(journal, event(1))
    free[0] = ROOM
    await journal._writer.call(Store.look)
    await journal.status()
    receipt = await accept(journal, event(1))
    await journal.close()
    assert 1 == receipt.seq


async def test_the_disk_is_looked_at_about_each_second(tmp_path: Path) -> None:
    free = [ROOM]
    journal = await open_journal(tmp_path, free_bytes=lambda _: free[0])
    free[0] = 12345
    await until(lambda: journal.stats().free_bytes == 12345)
    await journal.close()


def test_the_ballast_is_real_blocks_and_comes_back_only_when_there_is_room(tmp_path: Path) -> None:
    free = [0]
    space = Space(tmp_path / "ballast", 0, lambda _: free[0])
    space.run_out()
    space.look(0)
    still_full = space.full
    free[0] = 1 << 21
    space.look(0)
    assert f"the disk of {tmp_path} is full" == still_full
    assert ("", False) == (space.full, space.tight)
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 1 << 20


def test_a_ballast_that_finds_no_room_is_not_left_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _start: int, _length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    space = Space(tmp_path / "ballast", 0, lambda _: ROOM)
    space.run_out()
    monkeypatch.setattr(os, "posix_fallocate", full)
    space.look(0)
    assert (f"the disk of {tmp_path} is full", []) == (space.full, list(tmp_path.iterdir()))


def test_free_space_is_what_the_file_system_says(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert free_bytes(tmp_path) == pytest.approx(status.f_bavail * status.f_frsize, rel=0.1)


async def test_a_drained_journal_gives_its_pages_back(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    for first in range(0, 24, 8):  # no more may wait for a commit
        numbers = range(first, first + 8)
        await asyncio.gather(*(accept(journal, event(number, body=bytes(1 << 20))) for number in numbers))
    for seq in range(1, 25):
        journal.settle(seq)
    await quiet(journal)
    await journal._writer.call(Store.look)
    full_size = (tmp_path / "outbox.db").stat().st_size
    for _ in range(12):
        await journal._writer.call(Store.look)
    small_size = (tmp_path / "outbox.db").stat().st_size
    await journal.close()
    assert full_size > 20 << 20
    assert small_size < 17 << 20


async def test_a_drop_that_finds_the_disk_full_is_taken_back(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await accept(journal, event(1))
    carrier = journal.operators.carrier = Carrying()
    await on_disk(
        journal,
        "CREATE TEMP TRIGGER costly BEFORE DELETE ON main.pending BEGIN "
        "INSERT INTO receipts VALUES (99, 0, '', '', zeroblob(1000000)); END",
    )
    await cap(journal, 0)
    with pytest.raises(Unavailable, match="is full"):
        await journal.operators.drop(event(1).id, OUTBOX)
    given = await ids_waiting(journal)
    await on_disk(journal, "DROP TRIGGER costly")
    await journal.operators.drop(event(1).id, OUTBOX)
    await journal.close()
    assert [(1, False), (1, True)] == carrier.told
    assert [event(1).id] == given


async def test_a_quota_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite tells a quota as an I/O error; the size that the kernel allows a file stands for one here."""
    monkeypatch.setattr(files, "NO_ROOM", (*files.NO_ROOM, errno.EFBIG))
    journal = await open_journal(tmp_path)
    await accept(journal, event(1))
    with no_file_larger_than(60_000):
        with pytest.raises(Unavailable, match=f"the disk of {tmp_path} is full"):
            await accept(journal, event(2, body=bytes(100_000)))
        journal.settle(1)
        await quiet(journal)
        drained = journal.stats().events
    await journal._writer.call(Store.look)
    await journal.status()
    receipt = await accept(journal, event(3))
    await journal.close()
    assert (0, 2, None) == (drained, receipt.seq, journal.failure)


async def test_without_a_descriptor_the_ballast_is_made_later(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    (tmp_path / "ballast").unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        await journal._writer.call(Store.look)
        receipt = await accept(journal, event(1))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await journal._writer.call(Store.look)
    made = (tmp_path / "ballast").exists()
    await journal.close()
    assert (1, True, None) == (receipt.seq, made, journal.failure)
