import asyncio
import json
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from tests.outbox.outboxes import ids_waiting, open_journal

from tms_bridge.errors import OutboxBroken
from tms_bridge.outbox import schema
from tms_bridge.outbox.rows import OUTBOX, QUARANTINE, Share
from tms_bridge.settings.model import Quarantine

DATA = Path(__file__).parent / "data"
VERSIONS = sorted(path.name for path in DATA.iterdir() if path.is_dir())


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory that an older version wrote, and died over."""
    shutil.copytree(DATA / request.param, tmp_path / "outbox")
    return tmp_path / "outbox"


def said_by_its_own_version(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / "export.jsonl").read_text().splitlines()]


async def test_what_an_older_version_wrote_is_here_row_by_row(old: Path) -> None:
    journal = await open_journal(old, quarantine=Quarantine(max_age_days=100_000))
    lines = [line async for lines in journal.operators.export((*OUTBOX, *QUARANTINE)) for line in lines]
    stats = await journal.status()
    waiting = await ids_waiting(journal)
    await journal.close()
    now = {(row["state"], row["id"]): row for row in map(json.loads, lines)}
    for before in said_by_its_own_version(old):
        row = now.pop((before["state"], before["id"]))
        assert before == {name: row[name] for name in before}
    assert {} == now
    assert (4, 1, 1, 1) == (stats.events, stats.refused, stats.held, stats.undecodable)
    assert 4 == len(waiting)
    share = stats.sources["contoso"]
    assert (stats.bytes, stats.held_bytes) == (share.event_bytes, share.held_bytes)
    assert ["contoso"] == list(stats.sources)


async def test_the_newest_of_its_moments_is_the_floor_of_those_to_come(old: Path) -> None:
    journal = await open_journal(old)
    newest = journal.newest_us
    await journal.close()
    assert max(row["received_at_us"] for row in said_by_its_own_version(old)) == newest  # type: ignore[type-var]


async def test_the_copy_is_there_while_a_step_is_taken_and_gone_when_it_is_proved(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    step = schema._STEPS[1]

    def look(connection: sqlite3.Connection) -> None:
        copy = schema.copy_of(old / "outbox.db", 1)
        with sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True) as reader:
            ((rows,),) = reader.execute("SELECT count(*) FROM pending").fetchall()
        reader.close()
        seen.append((rows, stat.S_IMODE(copy.stat().st_mode)))
        step(connection)

    monkeypatch.setitem(schema._STEPS, 1, look)
    journal = await open_journal(old)
    await journal.close()
    assert [(4, 0o600)] == seen
    assert not schema.copy_of(old / "outbox.db", 1).exists()


async def test_a_step_that_fails_leaves_the_file_as_it_was_and_is_taken_again(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM pending")
        raise sqlite3.DatabaseError("in the middle")

    with monkeypatch.context() as patched:
        patched.setitem(schema._STEPS, 1, fail)
        with pytest.raises(OutboxBroken, match="in the middle"):
            await open_journal(old)
    journal = await open_journal(old)
    stats = await journal.status()
    await journal.close()
    assert 4 == stats.events


async def test_a_step_that_loses_a_row_is_not_believed_and_the_copy_stays(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = schema._STEPS[1]

    def lose(connection: sqlite3.Connection) -> None:
        step(connection)
        connection.execute("DELETE FROM refused")

    monkeypatch.setitem(schema._STEPS, 1, lose)
    with pytest.raises(OutboxBroken, match=r"0 rows are refused, and 1 should be.*outbox\.db\.format-1"):
        await open_journal(old)
    with pytest.raises(OutboxBroken, match=r"0 rows are refused, and 1 should be.*outbox\.db\.format-1"):
        await open_journal(old)
    assert schema.copy_of(old / "outbox.db", 1).exists()


async def test_where_no_copy_can_be_made_nothing_is_touched(old: Path) -> None:
    schema.copy_of(old / "outbox.db", 1).mkdir()
    with pytest.raises(OutboxBroken, match="make room for the copy"):
        await open_journal(old)
    schema.copy_of(old / "outbox.db", 1).rmdir()
    journal = await open_journal(old)
    stats = await journal.status()
    await journal.close()
    assert 4 == stats.events


async def test_a_newer_format_is_refused_with_words(tmp_path: Path) -> None:
    journal = await open_journal(tmp_path)
    await journal.close()
    with sqlite3.connect(tmp_path / "outbox.db") as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    with pytest.raises(OutboxBroken, match=r"was written by a newer version of tms-bridge.*knows up to"):
        await open_journal(tmp_path)
    with sqlite3.connect(tmp_path / "outbox.db") as connection:
        assert [(schema.VERSION + 1,)] == connection.execute("PRAGMA user_version").fetchall()
    connection.close()


async def test_a_new_file_has_the_format_that_the_steps_lead_to(old: Path, tmp_path: Path) -> None:
    for directory in (old, tmp_path / "new"):
        await (await open_journal(directory)).close()

    def shape(directory: Path) -> list[tuple[str, list[str]]]:
        with sqlite3.connect(directory / "outbox.db") as connection:
            names = sorted(name for (name,) in connection.execute("SELECT name FROM sqlite_master"))
            found = [
                (name, [column[1] for column in connection.execute(f"PRAGMA table_info({name})")])
                for name in names
            ]
        connection.close()
        return found

    assert await asyncio.to_thread(shape, old) == await asyncio.to_thread(shape, tmp_path / "new")
    assert 8 == len(Share.__struct_fields__)
