import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from tests.outbox.outboxes import (
    Carrying,
    accept,
    event,
    hold,
    ids_waiting,
    open_journal,
    quarantine,
    quiet,
    undecodable,
    waiting,
)

from tms_bridge.errors import InvalidQuery, RowBusy, RowMissing, RowUnfit, Unavailable
from tms_bridge.message import Message
from tms_bridge.outbox.journal import Journal
from tms_bridge.outbox.operators import Imported
from tms_bridge.outbox.rows import OUTBOX, QUARANTINE, State, pack


def again(message: Message) -> Message:
    return msgspec.structs.replace(message, replayed=True)


async def exported(journal: Journal, states: tuple[State, ...] = OUTBOX) -> list[bytes]:
    return [line async for lines in journal.operators.export(states) for line in lines]


async def test_a_refused_event_is_retried_at_the_tail_under_its_own_id(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    for number in (1, 2):
        await accept(journal, event(number))
    journal.refuse(1, "no")
    await quiet(journal)
    done = await journal.operators.retry(event(1).id)
    entries = [(entry.seq, entry.message) for entry in await waiting(journal)]
    with pytest.raises(RowUnfit, match="is pending: it is on its way already"):
        await journal.operators.retry(event(1).id)
    stats = await journal.status()
    await journal.close()
    assert ("retried", 1, "no") == (done.done, done.row.seq, done.row.why)
    assert [(2, event(2)), (3, again(event(1)))] == entries
    assert (2, 0) == (stats.events, stats.refused)


async def test_a_held_event_is_released_at_the_tail(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await hold(journal, event(1))
    await journal.operators.release(event(1).id)
    entries = [entry.message for entry in await waiting(journal)]
    with pytest.raises(RowUnfit, match="is pending: it is on its way already"):
        await journal.operators.release(event(1).id)
    with pytest.raises(RowMissing, match="nothing here has the id"):
        await journal.operators.release(event(2).id)
    stats = await journal.status()
    await journal.close()
    assert [again(event(1))] == entries
    assert 0 == stats.held


async def test_a_replayed_body_gives_way_to_its_event_and_is_new_when_it_comes_again(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    body = undecodable(1, digest="d")
    await quarantine(journal, body)
    journal.settle(1)
    understood = msgspec.structs.replace(event(1, digest="d"), id=body.id)
    journal.operators.reread = lambda message, _: understood if message == body else event(9)
    await journal.operators.replay(body.id)
    entries = [entry.message for entry in await waiting(journal)]
    with pytest.raises(RowUnfit, match="is pending"):
        await journal.operators.replay(body.id)
    next_time = await quarantine(journal, undecodable(2, digest="d"))
    await journal.close()
    assert [again(understood)] == entries
    assert undecodable(2).id == next_time.id


async def test_a_pending_event_is_dropped_unless_it_is_in_flight(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    for number in (1, 2, 3):
        await accept(journal, event(number))
    carrier = journal.operators.carrier = Carrying(1)
    with pytest.raises(RowBusy, match="is in flight to the broker"):
        await journal.operators.drop(event(1).id, OUTBOX)
    done = await journal.operators.drop(event(2).id, OUTBOX)
    journal.settle(3)
    with pytest.raises(RowBusy):
        await journal.operators.drop(event(3).id, OUTBOX)
    pending = await ids_waiting(journal)
    await journal.close()
    journal = await open_journal(tmp_path)
    pending_later = await ids_waiting(journal)
    await journal.close()
    assert ("dropped", 2, [(2, True)]) == (done.done, done.row.seq, carrier.told)
    assert [event(1).id] == pending == pending_later


async def test_a_row_that_leaves_while_it_is_being_dropped_is_missing(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await accept(journal, event(1))
    outcomes = await asyncio.gather(
        journal.operators._drop_pending(1), journal.operators._drop_pending(2), return_exceptions=True
    )
    journal.refuse(1, "too late")
    await quiet(journal)
    await journal.close()
    assert [type(None), RowMissing] == [type(one) for one in outcomes]


async def test_refused_and_quarantined_rows_are_dropped(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await accept(journal, event(1))
    journal.refuse(1, "no")
    await hold(journal, event(2))
    await quarantine(journal, undecodable(3, digest="d"))
    await quiet(journal)
    journal.settle(3)
    await journal.operators.drop(event(1).id, OUTBOX)
    await journal.operators.drop(event(2).id, QUARANTINE)
    await journal.operators.drop(undecodable(3).id, QUARANTINE)
    for states in (OUTBOX, QUARANTINE):
        with pytest.raises(RowMissing):
            await journal.operators.drop(event(1).id, states)
    came_again = await quarantine(journal, undecodable(4, digest="d"))
    stats = await journal.status()
    await journal.close()
    assert undecodable(4).id == came_again.id
    assert (0, 0, 1) == (stats.refused, stats.held, stats.undecodable)


async def test_rows_are_listed_in_pages(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(accept(journal, event(number)) for number in range(5)))
    first = await journal.operators.rows([State.PENDING], limit=3)
    rest = await journal.operators.rows([State.PENDING], after=first[-1].seq, limit=3)
    await journal.close()
    assert [[1, 2, 3], [4, 5]] == [[row.seq for row in page] for page in (first, rest)]


async def test_an_export_holds_every_part_of_every_row(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await accept(journal, event(1, body=b"\x00\xff"))
    await hold(journal, event(2))
    await quarantine(journal, undecodable(3))
    (line,) = [one for one in await exported(journal) if event(1).id.encode() in one]
    quarantined = [json.loads(one)["state"] for one in await exported(journal, QUARANTINE)]
    await journal.close()
    row = json.loads(line)
    assert ("pending", 1, "AP8=", "", event(1).digest) == (
        row["state"],
        row["seq"],
        row["body"],
        row["why"],
        row["digest"],
    )
    assert ["held", "undecodable"] == quarantined


async def test_an_import_appends_what_is_not_here_and_loses_nothing(tmp_path: Path) -> None:
    old = await open_journal(tmp_path / "old")
    await asyncio.gather(*(accept(old, event(number, body=bytes([number % 256]))) for number in range(700)))
    old.refuse(5, "too long")
    await quiet(old)
    lines = await exported(old)
    await old.close()
    new = await open_journal(tmp_path / "new")
    await accept(new, event(3))
    first = await new.operators.import_lines(lines)
    second = await new.operators.import_lines(lines)
    pending = await new.operators.rows([State.PENDING], limit=1000, with_body=True)
    refused = await new.operators.rows([State.REFUSED], with_body=True)
    in_memory = await waiting(new)
    await new.close()
    expected = [again(event(n, body=bytes([n % 256]))) for n in range(700) if n not in {3, 4}]
    assert (Imported(699, 1), Imported(0, 700)) == (first, second)
    assert [event(3), *expected] == [row.message for row in pending]
    assert [(event(4, body=bytes([4])), "too long")] == [(row.message, row.why) for row in refused]
    assert [row.seq for row in pending] == [entry.seq for entry in in_memory]


async def test_quarantined_rows_are_imported_into_quarantine(tmp_path: Path) -> None:
    old = await open_journal(tmp_path / "old")
    await hold(old, event(1, digest="held"))
    for _ in range(2):
        await quarantine(old, undecodable(2))
    await quiet(old)
    lines = await exported(old, (*OUTBOX, *QUARANTINE))
    await old.close()
    new = await open_journal(tmp_path / "new")
    first, second = await new.operators.import_lines(lines), await new.operators.import_lines(lines)
    rows = [row for state in QUARANTINE for row in await new.operators.rows([state], with_body=True)]
    copies = await waiting(new)
    await new.close()
    new = await open_journal(tmp_path / "new")  # what was imported is nobody's retry
    held_again = await hold(new, event(3, digest="held"))
    await new.close()
    assert (Imported(3, 0), Imported(0, 3)) == (first, second)
    assert [(undecodable(2), 2), (event(1, digest="held"), 1)] == [(row.message, row.seen) for row in rows]
    assert [again(undecodable(2))] == [entry.message for entry in copies]
    assert not held_again.duplicate


async def test_an_import_of_something_else_is_refused(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    for line in (b"{}", b"not JSON", b"[" * 100_000, b"\xff"):
        with pytest.raises(InvalidQuery, match=r"^line 3 is not a line of an export: "):
            await journal.operators.import_lines([b"\n", b"", line])
    await journal.close()


async def test_an_import_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    old = await open_journal(tmp_path / "old")
    await asyncio.gather(*(accept(old, event(number)) for number in range(3)))
    lines = await exported(old)
    await old.close()
    new = await open_journal(tmp_path / "new", max_bytes=2 * len(pack(event(1))))
    with pytest.raises(Unavailable, match=r"raise outbox.max_bytes"):
        await new.operators.import_lines(lines)
    stats = await new.status()
    await new.close()
    assert (0, 0) == (stats.events, stats.last_seq)


async def test_a_deed_whose_asker_has_gone_is_still_handed_to_the_relay(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await hold(journal, event(1))
    row = await journal.operators.show(event(1).id, [State.HELD])
    release = asyncio.ensure_future(journal.operators._resend(row))
    await asyncio.sleep(0)
    release.cancel()
    await asyncio.wait({release})
    await quiet(journal)
    pending = await ids_waiting(journal)
    await journal.close()
    assert [event(1).id] == pending
