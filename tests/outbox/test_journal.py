"""The journal as the listener and the relay see it."""

from pathlib import Path

from tests.outbox.outboxes import event, open_journal, waiting


async def test_an_accepted_event_is_pending_and_survives_a_restart(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path / "outbox")
    receipt = await journal.accept(event(1))
    journal.answering(receipt)
    await journal.close()
    journal = await open_journal(tmp_path / "outbox")
    entries = await waiting(journal)
    await journal.close()
    assert [(entry.seq, entry.message) for entry in entries] == [(1, event(1))]
