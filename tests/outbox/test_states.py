"""What one statement writes, against the same in a transaction of several, and against one row at a time."""

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.outbox.outboxes import event

from tms_bridge.outbox.contract import Receipt
from tms_bridge.outbox.rows import Batch, NewRow, State, Totals, pack
from tms_bridge.outbox.schema import SCHEMA
from tms_bridge.outbox.states import FEW_ROWS, MAX_BYTES, MAX_ROWS, States, _entering, _fits, _parts, _runs

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


def all_of(batches: Sequence[Batch]) -> Content:
    """Write batches, forgetting the sizes halfway, as a restart does."""
    states = fresh()
    for number, one in enumerate(batches):
        if number == len(batches) // 2:
            states._sizes.clear()
        states.write(one)
    stored = content(states)
    assert states._stored_totals() == states.totals
    states.connection.close()
    return stored


def with_more(one: Batch) -> Batch:
    """Let it bring what no single statement writes; of a row that is not there, so nothing comes of it."""
    return Batch(rows=one.rows, settled=one.settled, seen={1 << 40: 2})


def fits(one: Batch) -> bool:
    came, sizes = _entering(one.rows, 0)
    return _fits(one, len(came), sizes)


def one_by_one(batches: Sequence[Batch]) -> list[Batch]:
    return [
        part
        for one in batches
        for part in (
            *(Batch(rows=[row]) for row in one.rows),
            *(Batch(settled=[seq]) for seq in one.settled),
        )
    ]


@given(st.lists(st.tuples(st.integers(0, 40), st.sets(st.integers(1, 90), max_size=40)), max_size=8))
def test_a_batch_leaves_the_same_however_it_is_written(plans: list[tuple[int, set[int]]]) -> None:
    batches = []
    last, gone = 0, set[int]()
    for length, leaving in plans:
        settled = {seq for seq in leaving if seq <= last} - gone
        batches.append(batch(last + 1, length, sorted(settled, reverse=True)))
        last, gone = last + length, gone | settled
    expected = all_of(one_by_one(batches))
    assert expected == all_of(batches)
    assert expected == all_of([with_more(one) for one in batches])


def test_neighbours_leave_as_one_run() -> None:
    assert [(1, 3), (5, 5), (9, 10)] == list(_runs([1, 2, 3, 5, 9, 10]))
    assert [] == list(_runs([]))


def test_what_brings_more_or_is_large_is_left_to_a_transaction() -> None:
    large = Batch(rows=[msgspec.structs.replace(row(1), blob=bytes(MAX_BYTES + 1))])
    others = [Batch(refused=[(1, "too long")]), Batch(seen={1: 2}), batch(1, FEW_ROWS + 1), large]
    assert [False] * 4 == [fits(one) for one in others]
    assert fits(batch(1, FEW_ROWS))


def test_a_large_batch_is_cut_by_number_and_by_bytes() -> None:
    many = _entering(batch(1, MAX_ROWS + 8).rows, 0)[0]
    assert [MAX_ROWS, 8] == [len(part) for part in _parts(many)]
    large = [msgspec.structs.replace(row(n), blob=bytes(MAX_BYTES)) for n in (1, 2, 3)]
    assert [2, 1] == [len(part) for part in _parts(_entering(large, 0)[0])]


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


def test_totals_that_were_committed_never_change(states: States) -> None:
    states.write(batch(1, 3))
    kept = states.totals
    before = msgspec.msgpack.encode(kept)
    states.write(batch(4, 2, [1, 2]))
    states.write(with_more(batch(6, 1, [3])))
    states.drop(State.PENDING, 4)
    assert before == msgspec.msgpack.encode(kept)
    assert before != msgspec.msgpack.encode(states.totals)


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
    states.drop(State.PENDING, 1)
    states.write(batch(3, 0, [1, 2]))
    assert ([], 0, 0) == (content(states)[0], states.totals.all.pending_rows, states.totals.all.pending_bytes)
