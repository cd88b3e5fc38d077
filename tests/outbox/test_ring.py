import os
from pathlib import Path

import pytest
from tests.outbox.outboxes import Clock, accept, event, killed, open_journal

from tms_bridge.errors import OutboxBroken
from tms_bridge.outbox import files
from tms_bridge.outbox.retries import SLOTS, Ring


def opened(path: Path, last_seq: int, *, boot: str = "boot", journal_id: str = "journal") -> Ring:
    return Ring.open(path, journal_id=journal_id, last_seq=last_seq, boot=boot)


def unanswered(path: Path, last_seq: int, *, boot: str = "boot", journal_id: str = "journal") -> list[int]:
    again = opened(path, last_seq, boot=boot, journal_id=journal_id)
    seqs = list(again.unanswered(last_seq))
    again.close()
    return seqs


def test_what_was_not_marked_is_unanswered_from_the_newest_back(tmp_path: Path) -> None:
    answered = opened(tmp_path / "ring", 0)
    for seq in (1, 3, 4):
        answered.mark([seq])
    answered.clear(4)
    answered.close()
    assert [5, 4, 2] == unanswered(tmp_path / "ring", 5)


def test_a_closed_ring_writes_to_no_file_that_got_its_descriptor(tmp_path: Path) -> None:
    answered = opened(tmp_path / "ring", 0)
    answered.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError, match="Bad file descriptor"):
        answered.mark([1])
    os.close(other)

    assert (tmp_path / "other").read_bytes() == b""


def test_a_late_answer_leaves_the_slot_to_the_later_event_that_has_it(tmp_path: Path) -> None:
    answered = opened(tmp_path / "ring", 0)
    answered.mark([SLOTS + 7])
    answered.mark([7])
    answered.close()
    assert SLOTS + 7 not in unanswered(tmp_path / "ring", SLOTS + 7)


def test_a_slot_that_a_later_event_took_counts_as_answered(tmp_path: Path) -> None:
    answered = opened(tmp_path / "ring", 0)
    answered.mark([SLOTS + 7])
    answered.clear(7)
    answered.close()
    seqs = unanswered(tmp_path / "ring", SLOTS + 7)
    assert SLOTS - 1 == len(seqs)
    assert 7 not in seqs
    assert SLOTS + 7 not in seqs


@pytest.mark.parametrize(
    ("boot", "journal_id"), [("another boot", "journal"), ("boot", "another journal"), ("", "journal")]
)
def test_all_counts_as_answered_on_another_boot_and_for_another_journal(
    tmp_path: Path, boot: str, journal_id: str
) -> None:
    opened(tmp_path / "ring", 0).close()
    assert [] == unanswered(tmp_path / "ring", 9, boot=boot, journal_id=journal_id)
    opened(tmp_path / "ring", 9, boot=boot, journal_id=journal_id).close()


def test_without_a_boot_id_nothing_outlives_a_restart(tmp_path: Path) -> None:
    opened(tmp_path / "ring", 0, boot="").close()
    assert [] == unanswered(tmp_path / "ring", 9, boot="")


def test_a_torn_ring_starts_afresh(tmp_path: Path) -> None:
    (tmp_path / "ring").write_bytes(b"TMSRING1 and no more")
    assert [] == unanswered(tmp_path / "ring", 9)
    assert [10] == unanswered(tmp_path / "ring", 10)


def test_a_ring_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ring").mkdir()
    with pytest.raises(OutboxBroken, match=r"ring cannot be used: Is a directory"):
        opened(tmp_path / "ring", 0)


def test_the_boot_id_is_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() == files.boot_id()
    monkeypatch.setattr(files, "BOOT_ID", tmp_path / "none")
    assert "" == files.boot_id()


async def test_recovery_looks_no_further_back_than_the_window(tmp_path: Path) -> None:
    clock = Clock()
    journal = await open_journal(tmp_path / "a", clock=clock)
    for number in range(600):
        await accept(journal, event(number))
        clock.now_s += 1
    copy = await killed(journal, tmp_path / "a", tmp_path / "b")
    journal = await open_journal(copy, clock=clock)
    remembered = [number for number in range(600) if journal._receipts.find(event(number).digest)]
    await journal.close()
    assert list(range(480, 600)) == remembered


async def test_a_ring_that_cannot_be_opened_lets_the_directory_go(tmp_path: Path) -> None:
    (tmp_path / "answered.ring").mkdir()
    with pytest.raises(OutboxBroken):
        await open_journal(tmp_path)
    (tmp_path / "answered.ring").rmdir()
    journal = await open_journal(tmp_path)
    await journal.close()


@pytest.mark.parametrize(
    "seqs",
    [
        [5],
        [5, 6, 7],
        [5, 7, 8, 11],
        [SLOTS - 2, SLOTS - 1, SLOTS, SLOTS + 1],
        [3, 4, SLOTS + 3],
    ],
    ids=["one", "neighbours", "gaps", "over the edge", "too old"],
)
def test_marking_many_at_once_is_marking_each(tmp_path: Path, seqs: list[int]) -> None:
    one_by_one, at_once = opened(tmp_path / "a", 0), opened(tmp_path / "b", 0)
    for seq in seqs:
        one_by_one.mark([seq])
    at_once.mark(seqs)
    one_by_one.close()
    at_once.close()
    assert unanswered(tmp_path / "a", SLOTS + 5) == unanswered(tmp_path / "b", SLOTS + 5)
    assert not set(seqs) & set(unanswered(tmp_path / "b", SLOTS + 5))
