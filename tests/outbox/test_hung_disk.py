"""A disk that does not answer: the writer's thread hangs, as it would in an fsync."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.outbox.outboxes import Told, answer, event, open_journal
from tests.waiting import until

from tms_bridge.errors import Unavailable
from tms_bridge.outbox import journal as journal_module
from tms_bridge.outbox.database import Store
from tms_bridge.outbox.journal import Journal


@asynccontextmanager
async def hung(directory: Path) -> AsyncIterator[Journal]:
    journal = await open_journal(directory)
    answers = threading.Event()

    def hang(_: Store) -> None:
        answers.wait(60)

    journal._writer.submit(hang, lambda _result, _error: None)
    try:
        yield journal
    finally:
        answers.set()
        thread = journal._writer._thread
        assert thread is not None
        await asyncio.to_thread(thread.join, 60)


async def test_it_takes_nothing_and_says_so_once_a_commit_is_too_old(tmp_path: Path) -> None:
    async with hung(tmp_path) as journal:
        journal.patience_s = 0.05
        journal.take(event(1), Told(journal))
        await until(lambda: journal.stats().unavailable != "")
        with pytest.raises(Unavailable, match="the disk does not answer: a commit has taken longer"):
            journal.take(event(2), Told(journal))
        await journal.close(0.05)


async def test_what_waits_for_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_QUEUED_BYTES", 100_000)
    async with hung(tmp_path) as journal:
        while not journal.stats().unavailable:
            journal.take(event(0, body=bytes(1000), digest=secrets.token_hex(32)), Told(journal))
        with pytest.raises(Unavailable, match="the disk is too slow: over 100000 bytes wait"):
            journal.take(event(1), Told(journal))
        assert 100_000 <= journal._group.queued_bytes <= 110_000
        await journal.close(0.05)


async def test_closing_is_bounded_and_the_directory_stays_held(tmp_path: Path) -> None:
    async with hung(tmp_path) as journal:
        journal.take(event(1), Told(journal))
        assert not await journal.close(0.2)  # unbounded, it would come back once the disk has answered


async def test_a_disk_that_answers_again_is_used_again(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    answers = threading.Event()
    journal._writer.submit(lambda _: answers.wait(60), lambda _result, _error: None)
    journal.patience_s = 0.05
    prompt = Told(journal)
    journal.take(event(1), prompt)
    await until(lambda: journal.stats().unavailable != "")
    answers.set()
    first = await prompt.told
    second = await answer(journal, event(2))
    closed = await journal.close()
    assert (1, 2, True) == (first.seq, second.seq, closed)
