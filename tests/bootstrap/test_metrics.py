"""What a bridge shows that has just been started: series are there, so that alerts see them rise."""

import re
import time
from pathlib import Path

from tests.bootstrap.running import Process, bridge, configure, webhook

from tms_events.topics import STATUSES

BROKEN = webhook(1).replace(b'{"Id"', b'{"_d"')
"""No event of its trigger, and as long as one."""


async def series(running: Process) -> dict[str, float]:
    """Return every series of the bridge with its value."""
    _, text = await running.get("/metrics")
    found = re.findall(r"^((?:tms_bridge|process)_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def test_every_series_that_can_be_known_is_there_from_the_start(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as running:
        before = await series(running)
        answers = [
            await running.ask(webhook(1)),
            await running.ask(webhook(2, "fabrikam")),
            await running.ask(webhook(3).replace(b"Basic V2V", b"Basic X2V")),
            await running.ask(webhook(4).replace(b"POST", b"PUT")),
            await running.ask(webhook(5).replace(b"POST", b"GET")),
            await running.ask(webhook(6).replace(b"Host", b"Content-Encoding: gzip\r\nHost")),
            await running.ask(b"no HTTP at all\r\n\r\n"),
            await running.ask(BROKEN),
        ]
        after = await series(running)
    assert [202, 404, 401, 405, 200, 415, 400, 422] == [status for status, _ in answers]
    assert set() == set(after) - set(before)


async def test_what_counts_begins_at_zero_and_what_tells_a_moment_at_the_start(tmp_path: Path) -> None:
    began = time.time()
    async with bridge(configure(tmp_path)) as running:
        found = await series(running)
    counted = {name: value for name, value in found.items() if name.partition("{")[0].endswith("_total")}
    assert {0.0} == {value for name, value in counted.items() if "{" in name}
    keys = [name for name in counted if "publish_returned" in name]
    assert sum(map(len, STATUSES.values())) == len(keys)
    for name in ('last_accepted_timestamp_seconds{source="contoso"}', "allowlist_checked_timestamp_seconds"):
        assert began <= found[f"tms_bridge_{name}"] <= time.time()


async def test_limits_room_and_the_process_itself_are_shown(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as running:
        found = await series(running)
    assert 1 << 30 == found["tms_bridge_outbox_max_bytes"]
    assert found["tms_bridge_outbox_free_bytes"] > 0
    assert 1 == found["tms_bridge_ready"]
    assert found["process_open_fds"] > 0
    assert found["process_resident_memory_bytes"] > 1 << 20
