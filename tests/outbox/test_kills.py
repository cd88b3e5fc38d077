"""Real processes, killed for real, on the real clock and boot id."""

import asyncio
import random
import signal
import sys
from pathlib import Path

from tests.outbox.outboxes import event, ids_waiting, recall

from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Outbox

CHILD = """
import asyncio, os, sys
from tests.outbox.outboxes import accept, answer_retry, event
from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Outbox

async def main(directory: str, mode: str) -> None:
    journal = await Journal.open(Outbox(dir=directory, min_free_bytes=0))

    async def take(number: int) -> None:
        receipt = await accept(journal, event(number))
        if mode == "answered":
            await answer_retry(journal, receipt.digest)
        os.write(1, f"{number}\\n".encode())

    for start in range(0, 100_000, 10):
        await asyncio.gather(*(take(number) for number in range(start, start + 10)))
        if mode != "on":
            await asyncio.sleep(3600)

asyncio.run(main(*sys.argv[1:]))
"""
ROOT = Path(__file__).parents[2]


async def kill_after(directory: Path, mode: str, lines: int) -> list[int]:
    """Run a bridge's outbox until it has told of so many commits, kill it, and return which they were."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(directory), mode, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    told = [int(await child.stdout.readline()) for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    told += [int(line) for line in (await child.stdout.read()).split()]
    assert -signal.SIGKILL == await child.wait()
    return told


async def opened(directory: Path) -> Journal:
    return await Journal.open(Outbox(dir=str(directory), min_free_bytes=0))


async def test_killed_between_commit_and_answer_the_retry_is_recognised(tmp_path: Path) -> None:
    told = await kill_after(tmp_path, "committed", 10)
    journal = await opened(tmp_path)
    retries = [await recall(journal, event(number).digest) for number in told]
    pending = await ids_waiting(journal)
    await journal.close()
    assert [event(number).id for number in told] == [retry.id if retry else "" for retry in retries]
    assert [event(number).id for number in range(10)] == pending


async def test_killed_after_the_answer_an_equal_body_is_a_new_event(tmp_path: Path) -> None:
    told = await kill_after(tmp_path, "answered", 10)
    journal = await opened(tmp_path)
    recalled = [await recall(journal, event(number).digest) for number in told]
    pending = await ids_waiting(journal)
    await journal.close()
    assert [None] * 10 == recalled
    assert [event(number).id for number in range(10)] == pending


async def test_killed_at_any_instant_nothing_that_was_told_is_lost(tmp_path: Path) -> None:
    for seed in range(4):
        told = await kill_after(tmp_path / str(seed), "on", random.Random(seed).randrange(10, 400))
        journal = await opened(tmp_path / str(seed))
        pending = [entry.message.id for entry in await journal.page(0, 100_000)]
        stats = journal.stats()
        await journal.close()
        assert set() == {event(number).id for number in told} - set(pending)
        assert pending == sorted(pending)
        assert stats.events == len(pending)
