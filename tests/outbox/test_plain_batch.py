"""The one statement that commits plain batches, against the transaction of several that commits any batch."""

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.outbox.outboxes import event

from tms_bridge.outbox import plain_batch
from tms_bridge.outbox.contract import Receipt
from tms_bridge.outbox.rows import Batch, NewRow, Totals, pack
from tms_bridge.outbox.schema import SCHEMA
from tms_bridge.outbox.states import States

Content = tuple[list[tuple[object, ...]], Totals]


@pytest.fixture
def states() -> Iterator[States]:
    states = fresh()
    yield states
    states.connection.close()


def fresh() -> States:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    return States(connection)


def row(number: int) -> NewRow:
    message = event(number, body=bytes(number % 50))
    return NewRow(message, pack(message), Receipt(0, message.id, message.routing_key, message.digest, number))


def batch(first: int, length: int, settled: Sequence[int] = ()) -> Batch:
    return Batch(rows=[row(n) for n in range(first, first + length)], settled=list(settled))


def content(states: States) -> Content:
    return states.connection.execute("SELECT * FROM pending ORDER BY seq").fetchall(), states.totals


def all_of(batches: Sequence[Batch], *, one_by_one: bool) -> Content:
    """Write batches, by the transaction alone if asked; forgetting the sizes halfway, as a restart does."""
    states = fresh()
    for number, one in enumerate(batches):
        if number == len(batches) // 2:
            states._sizes.clear()
        (states._write_mixed if one_by_one else states.write)(one)
    stored = content(states)
    assert states._stored_totals() == states.totals
    states.connection.close()
    return stored


@given(st.lists(st.tuples(st.integers(0, 20), st.sets(st.integers(1, 60), max_size=30)), max_size=8))
def test_one_statement_leaves_what_a_transaction_leaves(plans: list[tuple[int, set[int]]]) -> None:
    batches = []
    last, gone = 0, set[int]()
    for length, leaving in plans:
        settled = {seq for seq in leaving if seq <= last} - gone
        batches.append(batch(last + 1, length, sorted(settled, reverse=True)))
        last, gone = last + length, gone | settled
    assert all_of(batches, one_by_one=True) == all_of(batches, one_by_one=False)


def test_neighbours_leave_as_one_run() -> None:
    assert [(1, 3), (5, 5), (9, 10)] == plain_batch.runs_of(batch(20, 1, [10, 1, 3, 2, 5, 9]))
    assert [] == plain_batch.runs_of(batch(1, 1))


def test_what_is_not_plain_or_not_small_is_left_to_a_transaction() -> None:
    for other in (
        Batch(refused=[(1, "too long")]),
        Batch(seen={1: 2}),
        batch(1, plain_batch.MAX_ROWS + 1),
        batch(1, 1, range(1, 4 * plain_batch.MAX_RUNS, 2)),
        Batch(rows=[msgspec.structs.replace(row(1), blob=bytes(plain_batch.MAX_BYTES + 1))]),
    ):
        assert plain_batch.runs_of(other) is None


def test_the_largest_plain_batch_finds_its_statement(states: States) -> None:
    for first in (1, 17, 33):
        states.write(batch(first, plain_batch.MAX_ROWS))
    states.write(batch(49, plain_batch.MAX_ROWS, range(1, 2 * plain_batch.MAX_RUNS, 2)))
    rows, totals = content(states)
    assert (48, 64, 48) == (len(rows), totals.last_seq, totals.all.pending_rows)


def test_a_failure_leaves_rows_and_totals_as_they_were(states: States) -> None:
    states.write(batch(1, 3))
    states.connection.execute("INSERT INTO pending VALUES (5, NULL, 'in the way', x'')")
    before = content(states)
    with pytest.raises(sqlite3.IntegrityError):
        states.write(batch(4, 2, [1, 2]))
    assert before == content(states)
    assert states.totals == states._stored_totals()
    states.connection.execute("DELETE FROM pending WHERE seq = 5")
    states.write(batch(4, 2, [1, 2]))  # what left was measured before; it is measured again
    rows, totals = content(states)
    assert [3, 4, 5] == [stored[0] for stored in rows]
    assert sum(len(row(n).blob) for n in (3, 4, 5)) == totals.all.pending_bytes


def test_sizes_are_remembered_of_the_newest_rows_only(
    states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tms_bridge.outbox.states._MAX_SIZES", 20)
    for first in range(1, 101, 10):
        states.write(batch(first, 10))
    assert len(states._sizes) <= 30
    states.write(batch(101, 0, range(1, 101)))
    rows, totals = content(states)
    assert ([], 0, 0) == (rows, totals.all.pending_rows, totals.all.pending_bytes)


def test_what_an_operator_dropped_is_not_counted_again(states: States) -> None:
    states.write(batch(1, 2))
    states.drop(1)
    states.write(batch(3, 0, [1, 2]))
    assert ([], 0, 0) == (content(states)[0], states.totals.all.pending_rows, states.totals.all.pending_bytes)
