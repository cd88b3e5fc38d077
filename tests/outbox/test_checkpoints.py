"""When the journal's log is moved into the journal proper."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.outbox.outboxes import event

from tms_bridge.outbox.contract import Receipt
from tms_bridge.outbox.database import CHECKPOINT_BYTES, LARGE_CHECKPOINT_BYTES, Ages, Store
from tms_bridge.outbox.files import Directory, Space
from tms_bridge.outbox.rows import Batch, NewRow, pack


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    directory = Directory.hold(tmp_path)
    store = Store.open(directory, Space(directory.ballast, 0), Ages(120_000_000, 1, lambda: 0.0))
    yield store
    store.close()
    directory.release()


def longest_log(store: Store, size: int, *, stay: int) -> int:
    """Commit events of this size, of which so many stay; return how much waited for a checkpoint at most."""
    longest = 0
    row = NewRow(message := event(1, body=bytes(size)), pack(message), Receipt(0, "", "", ""))
    for seq in range(1, 2 * LARGE_CHECKPOINT_BYTES // (32_768 + 4 * size)):
        store.commit(Batch(rows=[row] * 4, settled=[*range(4 * (seq - stay) - 3, 4 * (seq - stay) + 1)]))
        longest = max(longest, store.states.unsaved_bytes)
        store.rest()
    return longest


def test_small_events_are_moved_early(store: Store) -> None:
    assert CHECKPOINT_BYTES <= longest_log(store, 2000, stay=2) < 2 * CHECKPOINT_BYTES


def test_large_events_that_leave_soon_are_moved_late_since_the_next_take_their_place(store: Store) -> None:
    assert LARGE_CHECKPOINT_BYTES <= longest_log(store, 200_000, stay=2) < LARGE_CHECKPOINT_BYTES + (4 << 20)
    assert store.states.totals.all.pending_rows < 20


def test_a_backlog_of_large_events_is_moved_early(store: Store) -> None:
    longest_log(store, 200_000, stay=1000)
    assert store.states.totals.all.pending_bytes > LARGE_CHECKPOINT_BYTES
    assert longest_log(store, 200_000, stay=1000) < 2 * CHECKPOINT_BYTES
