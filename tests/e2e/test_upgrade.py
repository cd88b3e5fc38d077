"""The whole bridge on a directory that an older release wrote, with a real broker behind it."""

import json
import shutil
import subprocess
from pathlib import Path

import aio_pika
import pytest
from tests.waiting import PATIENCE_S, patience, until

from bridge import Bridge
from bus import listening

RELEASES = Path(__file__).parents[1] / "outbox" / "data"
KEPT = "[quarantine]\nmax_age_days = 100000"


def ran(bridge: Bridge, *arguments: str) -> str:
    done = subprocess.run(bridge.command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(bridge: Bridge, *arguments: str) -> set[str]:
    return {json.loads(line)["id"] for line in ran(bridge, *arguments, "--json").splitlines()}


async def first_of(url: str, queue: str) -> str | None:
    async with await aio_pika.connect(url) as connection:
        found = await (await connection.channel()).get_queue(queue)
        async with found.iterator(no_ack=True, timeout=PATIENCE_S) as messages:
            return (await anext(messages)).message_id


@pytest.mark.parametrize("release", sorted(path.name for path in RELEASES.iterdir() if path.is_dir()))
async def test_what_a_release_left_behind_is_delivered_by_the_next_one(vhost: str, release: str) -> None:
    said = [json.loads(line) for line in (RELEASES / release / "export.jsonl").read_text().splitlines()]

    def left(state: str, kind: str) -> set[str]:
        return {row["id"] for row in said if (row["state"], row["kind"]) == (state, kind)}

    bridge = Bridge(vhost, more=KEPT)
    shutil.copytree(RELEASES / release, bridge.outbox)
    async with listening(vhost) as inbox:
        with bridge:
            await inbox.wait_for(left("pending", "event"), timeout_s=PATIENCE_S)
            assert left("pending", "quarantine") == {await first_of(vhost, "tms.quarantine")}
            # A publish is settled in the file a moment after it has arrived.
            await until(lambda: set() == ids(bridge, "outbox", "list", "--state", "pending"))
            assert left("refused", "event") == ids(bridge, "outbox", "list", "--state", "refused")
            kept = left("held", "event") | left("undecodable", "quarantine")
            assert kept == ids(bridge, "quarantine", "list")
            ran(bridge, "simulate", "--url", bridge.url, "--source", "contoso", "--count", "5")
            async with patience():
                await inbox.wait_for_more_than(len(left("pending", "event")) + 4)
    came = [message.message_id for _, message in inbox.messages]
    assert left("pending", "event") == set(came[: len(left("pending", "event"))])
    assert len(left("pending", "event")) + 5 == len(set(came))
