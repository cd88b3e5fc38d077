"""What the relay is given, whatever leaves, comes back or goes wrong in between."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.outbox.outboxes import accept, event, open_journal, quiet

from tms_bridge.errors import OutboxBroken
from tms_bridge.outbox.contract import OutboxEntry
from tms_bridge.outbox.memory import Tail

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(1, 30)),
        st.tuples(st.just("settle"), st.integers(1, 60)),
        st.tuples(st.just("refuse"), st.integers(1, 60)),
        st.tuples(st.just("page"), st.integers(0, 60)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=12,
)


@given(steps=STEPS, limit=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_a_page_is_what_is_pending_after_a_seq_in_order(steps: list[tuple[str, int]], limit: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(follow(Path(directory), steps, limit))


async def follow(directory: Path, steps: list[tuple[str, int]], limit: int) -> None:
    journal = await open_journal(directory)
    journal._tail = Tail(0, max_entries=6)
    last, pending = 0, set[int]()
    for step, number in steps:
        if step == "arrive":
            await asyncio.gather(*(accept(journal, event(last + n)) for n in range(1, number + 1)))
            pending |= set(range(last + 1, last + number + 1))
            last += number
        elif step == "restart":
            await journal.close()
            journal = await open_journal(directory)
        elif step == "page":
            expected = sorted(seq for seq in pending if seq > number)[:limit]
            if expected:
                page = [entry.seq for entry in await journal.page(number, limit)]
                assert page == expected[: max(1, len(page))]  # it may be short, but not empty
        elif number in pending:
            pending.discard(number)
            if step == "settle":
                journal.settle(number)
            else:
                journal.refuse(number, "no")
    await quiet(journal)
    assert len(pending) == journal.stats().events
    await journal.close()


async def test_a_page_shows_nothing_that_left_before_however_late_the_loop_takes_it_in(
    tmp_path: Path,
) -> None:
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(accept(journal, event(number)) for number in range(3)))
    await journal.close()
    journal = await open_journal(tmp_path)
    journal.settle(1)
    page = asyncio.ensure_future(journal.page(0, 10))
    await asyncio.sleep(0)  # the page is asked for, then the deletion
    journal._group._push()
    journal._writer.abandon()  # both are done before the loop hears of either
    assert [2, 3] == [entry.seq for entry in await page]
    journal.failure = OutboxBroken("its thread has ended")
    await journal.close()


def test_the_tail_forgets_the_older_half_when_it_is_full() -> None:
    tail = Tail(0, max_entries=4)
    for seq in range(1, 6):
        tail.extend([OutboxEntry(seq, event(seq))])
    assert (2, [3, 4, 5]) == (tail.floor, [entry.seq for entry in tail.after(2, 10)])


def test_the_tail_is_bounded_in_bytes_too() -> None:
    tail = Tail(0, max_bytes=5000)
    for seq in range(1, 4):
        tail.extend([OutboxEntry(seq, event(seq, body=bytes(1000)))])
    assert (1, [2]) == (tail.floor, [entry.seq for entry in tail.after(1, 1)])


def test_what_has_left_does_not_fill_the_tail() -> None:
    tail = Tail(0, max_entries=4)
    for seq in range(1, 100):
        tail.extend([OutboxEntry(seq, event(seq))])
        tail.remove(seq)
    assert (0, []) == (tail.floor, tail.after(0, 10))
    assert len(tail._seqs) <= 10
