"""Events whose answer leaves in the call that reports them durable."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.outbox.outboxes import (
    Told,
    accept,
    answer,
    answer_retry,
    event,
    killed,
    knows,
    open_journal,
    quiet,
    recall,
)

from tms_bridge.errors import Unavailable
from tms_bridge.outbox import group_commit
from tms_bridge.outbox.contract import Receipt
from tms_bridge.outbox.memory import MemoryOutbox
from tms_bridge.outbox.rows import State


async def test_a_prompt_event_is_durable_and_counts_as_answered(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    receipt = await answer(journal, event(1))

    assert (receipt.seq, receipt.id, receipt.duplicate) == (1, event(1).id, False)
    assert [row.message for row in await journal.operators.rows([State.PENDING], with_body=True)] == [
        event(1)
    ]
    assert await recall(journal, event(1).digest) is None
    await journal.close()


async def test_it_counts_as_answered_after_a_kill_too(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path / "1")
    await answer(journal, event(1))
    journal = await open_journal(await killed(journal, tmp_path / "1", tmp_path / "2"))

    assert not knows(journal, event(1).digest)
    await journal.close()


async def test_a_failed_answer_is_recognised_again(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path / "1")
    receipt = await answer(journal, event(1))
    journal.unanswered(receipt)
    retry = await accept(journal, event(2, digest=event(1).digest))
    assert (retry.id, retry.duplicate) == (event(1).id, True)

    journal = await open_journal(await killed(journal, tmp_path / "1", tmp_path / "2"))
    assert knows(journal, event(1).digest)
    await journal.close()


async def test_a_retry_that_comes_before_the_commit_joins_the_first(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    prompt = Told(journal)
    journal.take(event(1), prompt)
    assert knows(journal, event(1).digest)
    retry = await recall(journal, event(1).digest)
    first = await prompt.told

    assert retry is not None
    assert (retry.id, retry.duplicate) == (event(1).id, True)
    journal.unanswered(first)
    await answer_retry(journal, retry.digest)
    assert not knows(journal, event(1).digest)
    await journal.close()


async def test_many_in_one_commit_are_told_in_their_order(tmp_path: Path) -> None:
    commits: list[int] = []
    journal = await open_journal(tmp_path, on_commit=lambda _, rows: commits.append(rows))
    slow = asyncio.ensure_future(accept(journal, event(0)))
    await asyncio.sleep(0)
    prompts = [Told(journal) for _ in range(20)]
    for number, prompt in enumerate(prompts, 1):
        journal.take(event(number), prompt)
    seqs = [(await prompt.told).seq for prompt in prompts]
    unanswered = await slow

    assert seqs == list(range(2, 22))
    assert len(commits) < 20
    assert knows(journal, event(0).digest)
    assert unanswered.seq == 1
    await journal.close()


async def test_what_one_commit_cannot_hold_is_written_before_the_outbox_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_ARRIVALS", 5)
    commits: list[int] = []
    journal = await open_journal(tmp_path, on_commit=lambda _, rows: commits.append(rows))
    prompts = [Told(journal) for _ in range(12)]
    for number, prompt in enumerate(prompts):
        journal.take(event(number), prompt)
    assert await journal.close()

    assert [5, 5, 2] == commits
    assert list(range(1, 13)) == [(await prompt.told).seq for prompt in prompts]
    assert (0, []) == (
        journal._group.queued_bytes,
        [size for size in journal._group._queued.values() if size],
    )


async def test_a_waiter_that_fails_costs_nobody_else_anything(tmp_path: Path) -> None:
    loud: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loud.append(context))
    journal = await open_journal(tmp_path)
    failing, other = Told(journal), Told(journal)
    failing.told.set_result(Receipt(0, "", "", ""))
    journal.take(event(1), failing)
    journal.take(event(2), other)

    assert (await other.told).id == event(2).id
    assert [entry.message for entry in await journal.page(0, 10)] == [event(1), event(2)]
    assert [type(context["exception"]) for context in loud] == [asyncio.InvalidStateError]
    await journal.close()


async def test_where_answers_cannot_be_noted_nobody_is_told_that_it_is_durable(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    os.close(journal._ring._descriptor)
    journal._ring._descriptor = os.open(tmp_path / "answered.ring", os.O_RDONLY)
    with pytest.raises(Unavailable, match="the outbox broke"):
        await answer(journal, event(1))
    assert journal.broken.is_set()
    await journal.close()


async def test_a_full_outbox_takes_nothing_and_tells_nobody(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path, max_bytes=10)
    prompt = Told(journal)
    with pytest.raises(Unavailable):
        journal.take(event(1), prompt)
    await quiet(journal)

    assert not prompt.told.done()
    assert not knows(journal, event(1).digest)
    await journal.close()


async def test_without_a_disk_it_is_told_at_the_confirm() -> None:
    outbox = MemoryOutbox(120.0)
    prompt = Told(outbox)
    outbox.take(event(1), prompt)
    (entry,) = await outbox.page(0, 10)
    assert knows(outbox, event(1).digest)
    assert not prompt.told.done()
    outbox.settle(entry.seq)

    assert (await prompt.told).id == event(1).id
    assert not knows(outbox, event(1).digest)


async def test_without_a_disk_a_refused_event_is_not_answered() -> None:
    outbox = MemoryOutbox(120.0)
    prompt = Told(outbox)
    outbox.take(event(1), prompt)
    (entry,) = await outbox.page(0, 10)
    outbox.refuse(entry.seq, "too long")

    with pytest.raises(Unavailable, match="too long"):
        await prompt.told
