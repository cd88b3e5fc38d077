import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.outbox.outboxes import (
    accept,
    answer,
    answer_retry,
    event,
    no_file_larger_than,
    open_journal,
    quiet,
)
from tests.waiting import patience, until

from tms_bridge.errors import OutboxBroken, OutboxLocked, Unavailable
from tms_bridge.outbox import database, group_commit
from tms_bridge.outbox.database import Store
from tms_bridge.outbox.rows import Batch

ROOT = Path(__file__).resolve().parents[2]


def defective(_: Store) -> None:
    raise ValueError("nobody foresaw this")


async def test_a_failed_write_breaks_the_outbox_for_good(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await accept(journal, event(1))
    page = asyncio.ensure_future(journal.page(1, 10))
    with no_file_larger_than(20_000):
        outcomes = await asyncio.gather(
            *(accept(journal, event(n, body=bytes(1000))) for n in range(2, 400)), return_exceptions=True
        )
    async with patience():
        await journal.broken.wait()
    with pytest.raises(OutboxBroken, match=r"the outbox broke: disk I/O error"):
        await page
    with pytest.raises(Unavailable, match="the outbox is broken"):
        await accept(journal, event(1000))
    with pytest.raises(OutboxBroken):
        await journal.status()
    journal.settle(1)
    journal._group._push()
    await asyncio.sleep(0)
    await journal.close()
    assert {Unavailable} == {type(outcome) for outcome in outcomes}


async def test_what_was_committed_before_it_broke_is_there_after_a_restart(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path / "a")
    await accept(journal, event(1))
    with no_file_larger_than(20_000), pytest.raises(Unavailable):
        await accept(journal, event(2, body=bytes(100_000)))
    await journal.close()
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # this process still has the first one open
    journal = await open_journal(tmp_path / "b")
    page = await journal.page(0, 10)
    await journal.close()
    assert [event(1).id] == [entry.message.id for entry in page]


async def break_journal(directory: Path) -> None:
    """Leave a journal broken, with an event in its log."""
    journal = await open_journal(directory)
    await accept(journal, event(1))
    with no_file_larger_than(20_000), pytest.raises(Unavailable):
        await accept(journal, event(2, body=bytes(100_000)))
    await journal.close()


def test_a_broken_journal_is_not_even_closed_at_the_end_of_the_process(tmp_path: Path) -> None:
    """To close it would write into it, and sync again what failed to sync."""
    code = f"import asyncio; from {__name__} import *; asyncio.run(break_journal(Path({str(tmp_path)!r})))"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, timeout=60)
    assert b"" != (tmp_path / "outbox.db-wal").read_bytes()


async def test_an_answer_that_cannot_be_noted_is_not_given(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    receipt = await accept(journal, event(1))
    with no_file_larger_than(1), pytest.raises(Unavailable, match="the outbox broke"):
        await answer_retry(journal, receipt.digest)
    broken = journal.broken.is_set()
    await journal.close()
    assert (True, 0) == (broken, receipt.standing)


async def test_a_failed_checkpoint_breaks_the_outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await open_journal(tmp_path)
    for number in range(40):
        await accept(journal, event(number, body=bytes(4000)))
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 1)
    with no_file_larger_than(1 << 16):
        await asyncio.gather(journal.status(), return_exceptions=True)
        async with patience():
            await journal.broken.wait()
    await journal.close()


async def damage(directory: Path, seq: int) -> None:
    """Leave a journal of three events of which one is no message."""
    journal = await open_journal(directory)
    await asyncio.gather(*(accept(journal, event(number)) for number in range(3)))
    await journal.close()
    with sqlite3.connect(directory / "outbox.db") as connection:
        connection.execute("UPDATE pending SET message = x'c1' WHERE seq = ?", (seq,))
    connection.close()


async def test_a_row_that_cannot_be_read_breaks_the_outbox(tmp_path: Path) -> None:
    await damage(tmp_path, 2)
    journal = await open_journal(tmp_path, boot="another")
    with pytest.raises(OutboxBroken, match="the outbox broke"):
        await journal.page(0, 10)
    await journal.close()


async def test_a_head_that_cannot_be_read_is_refused_at_start(tmp_path: Path) -> None:
    await damage(tmp_path, 1)
    with pytest.raises(OutboxBroken, match=r"outbox.db cannot be used"):
        await open_journal(tmp_path, boot="another")


async def refuse_to_start(directory: Path) -> None:
    """Start on a journal whose head cannot be read."""
    with pytest.raises(OutboxBroken, match=r"outbox.db cannot be used.*is left as it is"):
        await open_journal(directory, boot="another")


async def test_a_journal_that_is_refused_at_start_is_not_closed_either(tmp_path: Path) -> None:
    await damage(tmp_path / "closed", 3)
    with contextlib.closing(sqlite3.connect(tmp_path / "closed" / "outbox.db")) as connection:
        connection.execute("UPDATE pending SET message = x'c1' WHERE seq = 1")
        connection.commit()
        shutil.copytree(tmp_path / "closed", tmp_path / "killed")
    journal, log = (tmp_path / "killed" / name for name in ("outbox.db", "outbox.db-wal"))
    before, logged = journal.read_bytes(), log.read_bytes()
    start = f"asyncio.run(refuse_to_start(Path({str(tmp_path / 'killed')!r})))"
    code = f"import asyncio; from {__name__} import *; {start}"
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, timeout=60
    )
    assert before == journal.read_bytes()
    assert logged
    assert log.read_bytes().startswith(logged)


async def test_damage_found_at_run_time_breaks_the_outbox(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(answer(journal, event(number, body=bytes(3000))) for number in range(50)))
    await journal.close()
    path = tmp_path / "outbox.db"
    content = bytearray(path.read_bytes())
    content[20 * 4096 :] = b"\xa5" * (len(content) - 20 * 4096)
    path.write_bytes(content)
    journal = await open_journal(tmp_path, boot="another")
    with pytest.raises(OutboxBroken, match="malformed"):
        await journal.page(0, 50)
    await journal.close()


@pytest.mark.parametrize("content", [b"not SQLite at all", bytes(8192)])
async def test_a_corrupt_file_is_refused_with_instructions_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "outbox.db").write_bytes(content)
    with pytest.raises(OutboxBroken, match=rf"move the whole directory {tmp_path} aside.*outbox salvage"):
        await open_journal(tmp_path)
    assert content == (tmp_path / "outbox.db").read_bytes()


async def test_an_empty_file_left_by_a_kill_at_first_start_is_new(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").touch()
    journal = await open_journal(tmp_path)
    receipt = await accept(journal, event(1))
    await journal.close()
    assert 1 == receipt.seq


async def test_a_file_without_tables_left_by_a_kill_at_first_start_is_new(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "outbox.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    journal = await open_journal(tmp_path)
    receipt = await accept(journal, event(1))
    await journal.close()
    assert 1 == receipt.seq


async def test_a_log_without_its_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outbox.db-wal").write_bytes(b"events")
    with pytest.raises(OutboxBroken, match=r"outbox.db-wal holds events but .*outbox.db is empty or gone"):
        await open_journal(tmp_path)
    assert b"events" == (tmp_path / "outbox.db-wal").read_bytes()


@pytest.mark.parametrize("pragma", ["application_id = 1", "user_version = 0"])
async def test_a_journal_of_another_program_is_refused(tmp_path: Path, pragma: str) -> None:
    journal = await open_journal(tmp_path)
    await journal.close()
    with sqlite3.connect(tmp_path / "outbox.db") as connection:
        connection.execute(f"PRAGMA {pragma}")
    connection.close()
    with pytest.raises(OutboxBroken, match=r"is not a journal of tms-bridge"):
        await open_journal(tmp_path)


async def test_a_second_process_is_told_which_directory_is_held(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    with pytest.raises(OutboxLocked, match=f"the outbox directory {tmp_path} is held by another process"):
        await open_journal(tmp_path)
    await journal.close()
    again = await open_journal(tmp_path)
    await again.close()


@pytest.mark.parametrize("table", ["journal", "totals"])
async def test_a_journal_that_lost_a_row_of_its_own_is_refused_with_instructions(
    tmp_path: Path, table: str
) -> None:
    journal = await open_journal(tmp_path)
    await journal.close()
    with sqlite3.connect(tmp_path / "outbox.db") as connection:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of our own
    connection.close()
    with pytest.raises(OutboxBroken, match=rf"its table {table} has 0 rows, not one.*outbox salvage"):
        await open_journal(tmp_path)


def give(thread: Store, what: str) -> None:
    """Let the store's connection meet what a call was given, not what the disk did."""
    thread._connection.execute("SELECT ?", (1 << 64 if what == "a number" else what,))


@pytest.mark.parametrize("what", ["a number", "\ud800"])
async def test_what_a_call_was_given_fails_that_call_alone(tmp_path: Path, what: str) -> None:
    journal = await open_journal(tmp_path)
    with pytest.raises((OverflowError, UnicodeEncodeError)):
        await journal._writer.call(lambda thread: give(thread, what))
    with pytest.raises(ValueError, match="nobody foresaw this"):
        await journal._writer.call(defective)
    receipt = await accept(journal, event(1))
    await journal.close()
    assert (1, None) == (receipt.seq, journal.failure)


async def test_a_defect_in_a_batch_fails_its_events_and_keeps_its_departures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "STUCK_S", 0.01)
    journal = await open_journal(tmp_path)
    first = await accept(journal, event(1))

    def spoil(thread: Store) -> None:
        write = thread.states.write

        def fail_once(batch: Batch) -> int:  # noqa: ARG001 - as `write`
            thread.states.write = write  # type: ignore[method-assign]  # back as it was
            raise ValueError("nobody foresaw this")

        thread.states.write = fail_once  # type: ignore[method-assign]  # a defect

    await journal._writer.call(spoil)
    journal.settle(first.seq)
    with pytest.raises(Unavailable, match="it is in the log"):
        await accept(journal, event(2))
    await until(lambda: journal.stats().events == 0)
    third = await accept(journal, event(3))
    await journal.close()
    assert (2, None) == (third.seq, journal.failure)


async def test_a_defect_at_start_is_told_instead_of_leaving_its_caller_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.Store, "look", defective)
    with pytest.raises(ValueError, match="nobody foresaw this"):
        await open_journal(tmp_path)


async def test_a_defect_between_batches_is_logged_and_the_outbox_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = await open_journal(tmp_path)
    monkeypatch.setattr(database.Store, "rest", defective)
    await accept(journal, event(1))
    await until(lambda: "the outbox could not be maintained" in caplog.text)
    receipt = await accept(journal, event(2))
    await journal.close()
    assert 2 == receipt.seq


async def test_a_look_that_is_due_while_it_closes_finds_nothing_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "LOOK_EVERY_S", 0.0)
    journal = await open_journal(tmp_path)
    await accept(journal, event(1))
    await journal.close()
    await asyncio.sleep(0)  # what the thread had to say comes with the next turn
    assert journal.failure is None


async def test_a_file_that_another_program_has_open_is_locked(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutboxLocked, match=r"another program has .*outbox.db open"):
        await open_journal(tmp_path)
    other.close()


@pytest.mark.parametrize("before", [0, 1])
async def test_no_other_program_reads_an_open_journal_and_nothing_of_it_is_in_shared_memory(
    tmp_path: Path, before: int
) -> None:
    """Without the directory's lock a second bridge would meet SQLite's."""
    for number in range(before):
        journal = await open_journal(tmp_path)
        await accept(journal, event(number))
        await journal.close()
    journal = await open_journal(tmp_path)
    await accept(journal, event(9))
    assert not (tmp_path / "outbox.db-shm").exists()
    other = sqlite3.connect(tmp_path / "outbox.db", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT count(*) FROM sqlite_master")
    other.close()
    await journal.close()


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutboxBroken, match=r"cannot be used: Not a directory; it must be a directory"):
        await open_journal(tmp_path / "file" / "outbox")


async def test_a_journal_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(OutboxBroken, match="cannot be used: Is a directory"):
        await open_journal(tmp_path)


async def test_settings_that_sqlite_does_not_take_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "DURABILITY", (("journal_mode", "WAL", "delete"),))
    with pytest.raises(OutboxBroken, match=r"SQLite did not take journal_mode = WAL \(it says wal\)"):
        await open_journal(tmp_path)


async def test_results_for_a_loop_that_is_closed_are_let_go(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await quiet(journal)
    closed = asyncio.new_event_loop()
    closed.close()
    loop, journal._writer._loop = journal._writer._loop, closed
    journal._writer._post(lambda: None)
    journal._writer._loop = loop
    await journal.close()
    assert group_commit.LOOK_EVERY_S == 1.0
