import asyncio
import json
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from aio_pika import Message as Strange
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from msgspec.structs import replace
from tests.administering import close_connections
from tests.waiting import patience

from rabbitmq import Node
from tms_bridge.cli.bus.replay import MOMENT

from .archived import BEGAN, declare, fill, numbers, on_bus, publish, spread, taken, with_archive
from .conftest import Invoke

SINCE, UNTIL = "2026-11-20T10:00Z", "2026-11-20T11:00Z"


@pytest.fixture
def archive(with_broker: Path, vhost: str) -> Path:
    """A configuration with an archive that holds 300 events of three hours, and a queue for copies."""
    fill(vhost, spread(300, hours=3))
    declare(vhost, "late")
    return with_archive(with_broker)


def bind(url: str, name: str, key: str) -> None:
    async def work(channel: AbstractChannel) -> None:
        queue = await channel.get_queue(name)
        await queue.bind("tms.events", key)

    on_bus(url, work)


def in_order(messages: list[AbstractIncomingMessage]) -> bool:
    """Tell whether the first deliveries of each entity are in the order of receipt."""
    lives: dict[object, list[int]] = defaultdict(list)
    for message, number in zip(messages, numbers(messages), strict=True):
        lives[message.headers["cloudEvents_subject"]].append(number)
    firsts = [list(dict.fromkeys(life)) for life in lives.values()]
    return all(life == sorted(life) for life in firsts)


def test_an_hour_is_copied_exactly_and_in_order(invoke: Invoke, archive: Path, vhost: str) -> None:
    result = invoke(
        "replay", "--config", archive, "--since", SINCE, "--until", UNTIL, "--to", "late", "--json"
    )
    report = json.loads(result.stdout)
    assert (0, 100, "late") == (result.exit_code, report["events"], report["queue"])
    assert {"tms.class.scheduled": 50, "tms.course_assignment.started": 50} == report["routing_keys"]
    assert list(range(100, 200)) == numbers(taken(vhost, "late"))


def test_a_copy_is_the_event_and_says_that_it_is_one(invoke: Invoke, archive: Path, vhost: str) -> None:
    invoke("replay", "--config", archive, "--since", SINCE, "--entity", "class/7", "--to", "late")
    first, second = taken(vhost, "late")
    assert ["id-107", "id-207"] == [first.message_id, second.message_id]
    assert b'{"n":107,"payload":{"Price":1.50}}' == first.body
    assert ("com.skillable.tms.class.scheduled", "application/json", 2, "tms-bridge", "late") == (
        first.type, first.content_type, first.delivery_mode, first.app_id, first.routing_key
    )  # fmt: skip
    assert datetime(2026, 11, 20, 10, 4, 12, tzinfo=UTC) == first.timestamp
    assert {
        "cloudEvents_id": "id-107",
        "cloudEvents_time": "2026-11-20T10:04:12.000000Z",
        "tms-digest": "ab" * 32,
        "tms-replayed": True,
    }.items() <= first.headers.items()
    assert not [name for name in first.headers if name.startswith("x-")]


def test_a_dry_run_counts_and_copies_nothing(invoke: Invoke, archive: Path, vhost: str) -> None:
    result = invoke("replay", "--config", archive, "--since", SINCE, "--binding", "tms.class.*", "--dry-run")
    assert 0 == result.exit_code
    assert ["tms.class.scheduled", "100"] == result.stdout.splitlines()[1].split()
    assert "100 counted, received from 2026-11-20 10:00:36Z to" in result.stdout
    assert [] == taken(vhost, "late")


@pytest.mark.long
def test_ten_thousand_events_survive_a_kill_half_way_without_a_gap(
    invoke: Invoke, with_broker: Path, vhost: str
) -> None:
    fill(vhost, spread(10_000, hours=3))
    declare(vhost, "late", "other")
    bind(vhost, "other", "#")
    config = with_archive(with_broker)
    asked = ("--config", config, "--since", SINCE, "--until", UNTIL, "--to", "late")
    with replaying(*asked, "--rate", 500) as process:
        offset = told_offset(process)
        process.kill()
    before = taken(vhost, "late")
    result = invoke("replay", *asked, "--from-offset", offset, "--json")
    after = taken(vhost, "late")
    expected = [number for number in range(10_000) if 3600 <= number * 1.08 < 7200]
    assert 0 < len(before) < len(expected)
    assert set(expected) == set(numbers(before)) | set(numbers(after))
    assert (len(after), True) == (json.loads(result.stdout)["events"], in_order(before + after))
    assert ([], []) == (taken(vhost, "other"), taken(vhost, "tms.unroutable"))


class replaying:  # noqa: N801 - it reads as a verb
    """A replay in a process of its own."""

    def __init__(self, *args: object) -> None:
        command = [sys.executable, "-m", "tms_bridge", "replay", *map(str, args)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> "subprocess.Popen[str]":
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def told_offset(process: "subprocess.Popen[str]") -> int:
    """Wait until it says that something was copied, and return where another would go on."""
    return next(_offsets(process))


def _offsets(process: "subprocess.Popen[str]") -> Iterator[int]:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.match(r"([1-9][\d,]*) copied, with all before offset (\d+)", line):
            yield int(found[2])


def test_ctrl_c_says_where_to_go_on(invoke: Invoke, archive: Path, vhost: str) -> None:
    asked = ("--config", archive, "--since", SINCE, "--until", UNTIL, "--to", "late")
    with replaying(*asked, "--rate", 10) as process:
        told_offset(process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert 130 == process.returncode
    assert "Traceback" not in stderr
    hint = re.search(r"go on with the same options and --from-offset (\d+) --until (\S+)", stderr)
    assert hint is not None
    assert datetime.fromisoformat(hint[2]) == datetime(2026, 11, 20, 11, tzinfo=UTC)
    invoke("replay", *asked, "--from-offset", hint[1])
    copied = numbers(taken(vhost, "late"))
    assert list(range(100, 200)) == list(dict.fromkeys(copied))


def test_a_broker_that_goes_away_is_exit_code_1_with_where_to_go_on(
    archive: Path, vhost: str, rabbitmq: Node
) -> None:
    with replaying("--config", archive, "--since", SINCE, "--to", "late", "--rate", 10) as process:
        told_offset(process)
        close_connections(rabbitmq, vhost, "for a test")
        _, stderr = process.communicate(timeout=60)
    assert 1 == process.returncode
    assert "320" in stderr
    assert re.search(r"--from-offset \d+", stderr)


def test_a_queue_that_is_full_ends_it_and_what_it_has_counts(
    invoke: Invoke, archive: Path, vhost: str
) -> None:
    declare(vhost, "small", arguments={"x-max-length": 150, "x-overflow": "reject-publish"})
    asked = ("--config", archive, "--since", "2026-11-20T09:00Z", "--to", "small")
    result = invoke("replay", *asked)
    assert (1, "") == (result.exit_code, result.stdout)
    assert "a queue refuses small: it is full" in result.stderr
    hint = re.search(r"100 copied; go on with the same options and --from-offset (\d+)", result.stderr)
    assert hint is not None
    before = taken(vhost, "small")
    invoke("replay", *asked, "--until", SINCE, "--from-offset", hint[1])
    assert set(range(100)) <= set(numbers(before + taken(vhost, "small")))


async def test_a_bridge_that_goes_on_publishing_makes_it_not_endless(archive: Path, vhost: str) -> None:
    ended = asyncio.Event()

    async def go_on() -> None:
        for batch in range(10_000):
            if ended.is_set():
                return
            now_us = int(datetime.now(UTC).timestamp() * 1e6)
            events = spread(20, hours=0.001, prefix=f"live-{batch}")
            await publish(vhost, [replace(event, received_at_us=now_us) for event in events])

    publishing = asyncio.create_task(go_on())
    command = (sys.executable, "-m", "tms_bridge", "replay", "--json", "--config", str(archive))
    process = await asyncio.create_subprocess_exec(
        *command, "--since", SINCE, "--until", UNTIL, "--to", "late", stdout=subprocess.PIPE
    )
    async with patience():
        stdout, _ = await process.communicate()
    ended.set()
    await publishing
    assert (0, 100) == (process.returncode, json.loads(stdout)["events"])


def test_test_messages_and_what_is_of_no_bridge_are_left_out(
    invoke: Invoke, archive: Path, vhost: str
) -> None:
    invoke("check", "--online", "--config", archive)

    async def strange(channel: AbstractChannel) -> None:
        exchange = await channel.get_exchange("tms.events")
        for time in ("yesterday", 7, None):
            await exchange.publish(Strange(b"{}", headers={"cloudEvents_time": time}), "tms.class.scheduled")

    on_bus(vhost, strange)
    result = invoke("replay", "--config", archive, "--since", "2026-11-20T09:00Z", "--to", "late", "--json")
    assert 300 == json.loads(result.stdout)["events"]


def test_an_archive_without_events_gives_none(invoke: Invoke, with_broker: Path, vhost: str) -> None:
    config = with_archive(with_broker)
    invoke("topology", "apply", "--config", config)
    declare(vhost, "late")
    result = invoke("replay", "--config", config, "--since", "2h", "--to", "late")
    assert (0, "0 copied to late\n") == (result.exit_code, result.stdout)


def test_asked_for_all_bound_queues_each_gets_its_share(invoke: Invoke, archive: Path, vhost: str) -> None:
    bind(vhost, "late", "tms.class.*")
    result = invoke(
        "replay", "--config", archive, "--since", SINCE, "--until", UNTIL, "--to-exchange", "--json"
    )
    assert 100 == json.loads(result.stdout)["events"]
    copies = taken(vhost, "late")
    assert [number for number in range(100, 200) if number % 2] == numbers(copies)
    assert {"tms.class.scheduled"} == {copy.routing_key for copy in copies}


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--to", "late"), 2, "say from when on, with --since"),
        (("--since", "2h"), 2, "say which queue gets the copies, with --to"),
        (("--since", "2h", "--to", "late", "--to-exchange"), 2, "with --to"),
        (("--since", "2 h", "--to", "late"), 2, "write 2h, 7d or 2026-11-26T14:00Z"),
        (("--since", "2h", "--to", "tms.archive"), 2, "tms.archive is the archive itself"),
        (("--since", "2h", "--to", "gone"), 1, "no queue 'gone'"),
    ],
)
def test_a_call_that_cannot_work_is_told_so(
    invoke: Invoke, archive: Path, args: tuple[str, ...], code: int, said: str
) -> None:
    result = invoke("replay", "--config", archive, *args)
    assert (code, True) == (result.exit_code, said in result.stderr)


def test_a_configuration_without_an_archive_is_told_so(invoke: Invoke, config: Path) -> None:
    result = invoke("replay", "--config", config, "--since", "2h", "--to", "late")
    assert (2, True) == (result.exit_code, "there is no [amqp.archive]" in result.stderr)


def test_an_offset_beyond_the_end_has_nothing_to_copy(invoke: Invoke, archive: Path) -> None:
    result = invoke("replay", "--config", archive, "--from-offset", 9_999_999, "--to", "late")
    assert (0, "0 copied to late\n") == (result.exit_code, result.stdout)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T09:00Z", BEGAN),
        ("2026-11-20T09:00:00", BEGAN),
        ("2026-11-20T10:00+01:00", BEGAN),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_a_moment_is_utc_where_it_names_no_offset(text: str, moment: datetime) -> None:
    assert moment == MOMENT.convert(text, None, None)


@pytest.mark.parametrize(("text", "ago"), [("90s", timedelta(seconds=90)), ("7d", timedelta(days=7))])
def test_a_moment_may_be_so_long_ago(text: str, ago: timedelta) -> None:
    away = MOMENT.convert(text, None, None) + ago - datetime.now(UTC)
    assert timedelta(minutes=-1) < away <= timedelta(0)


@pytest.mark.parametrize("text", ["", "2w", "-1h", "999999d", "tomorrow"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        MOMENT.convert(text, None, None)
