import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.outbox.outboxes import accept, event, hold, open_journal, quarantine, quiet, undecodable

from tms_bridge.cli.program import program
from tms_bridge.outbox.rows import OUTBOX, State

PAGE = 4096


async def damaged(directory: Path) -> Path:
    """Return a journal of 203 rows with two pages of garbage in its middle and one row that is no message."""
    journal = await open_journal(directory)
    await asyncio.gather(*(accept(journal, event(number, body=bytes(1500))) for number in range(200)))
    journal.refuse(1, "too long")
    await hold(journal, event(300))
    await quiet(journal)
    await quarantine(journal, undecodable(301))
    await journal._writer.call(
        lambda store: store._connection.execute("UPDATE quarantine SET message = x'c1' WHERE state = 'held'")
    )
    await journal.close()
    content = bytearray((directory / "outbox.db").read_bytes())
    content[40 * PAGE : 42 * PAGE] = b"\xa5" * (2 * PAGE)
    (directory / "outbox.db").write_bytes(content)
    return directory / "outbox.db"


async def test_what_can_be_read_of_a_damaged_journal_is_imported_into_a_new_one(tmp_path: Path) -> None:
    journal_file = await damaged(tmp_path / "old")
    before = journal_file.read_bytes()
    salvage = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tms_bridge", "outbox", "salvage", str(journal_file)],
        capture_output=True,
        check=False,
    )
    journal = await open_journal(tmp_path / "new")
    imported = await journal.operators.import_lines(salvage.stdout.splitlines())
    refused = [row.message.id for row in await journal.operators.rows([State.REFUSED], with_body=True)]
    undecodables = [
        row.message.id for row in await journal.operators.rows([State.UNDECODABLE], with_body=True)
    ]
    await journal.close()
    complaints = salvage.stderr.decode()
    assert (1, before) == (salvage.returncode, journal_file.read_bytes())
    assert 190 <= imported.imported <= 202
    assert (0, [event(0).id], [undecodable(301).id]) == (imported.already_here, refused, undecodables)
    assert "pending: database disk image is malformed" in complaints
    assert "held, seq 201: " in complaints
    assert f"{imported.imported} rows read" in complaints


async def test_a_sound_journal_is_read_whole_into_a_file_of_its_owners(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await asyncio.gather(*(accept(journal, event(number)) for number in range(3)))
    lines = [line async for lines in journal.operators.export(OUTBOX) for line in lines]
    await journal.close()
    saved = tmp_path / "rows.jsonl"
    done = CliRunner().invoke(program, ["outbox", "salvage", str(tmp_path / "outbox.db"), str(saved)])
    assert (0, b"".join(lines), "3 rows read\n") == (done.exit_code, saved.read_bytes(), done.stderr)
    assert 0o600 == saved.stat().st_mode & 0o777


@pytest.mark.parametrize("arguments", [[], ["no such file"]])
def test_a_wrong_call_is_exit_code_2(arguments: list[str]) -> None:
    assert 2 == CliRunner().invoke(program, ["outbox", "salvage", *arguments]).exit_code
