import asyncio
import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import aio_pika
import pytest
from tests.waiting import PATIENCE_S, wait_until

from bridge import Bridge
from rabbitmq import Node

QUEUE = "witness"
# The bridge declares the queue, so that it is there before the first event however late the broker comes.
QUEUES = f'[[amqp.queues]]\nname = "{QUEUE}"\nbindings = ["#"]'


pytestmark = pytest.mark.integration


class Answer(NamedTuple):
    """An event that was answered 2xx."""

    trigger: str
    entity: int
    step: int
    digest: str
    id: str


@contextmanager
def _load(bridge: Bridge, record: Path, *, count: int = 1_000_000) -> Iterator[subprocess.Popen[str]]:
    """Play TMS until it is interrupted, for nobody knows how long a broker takes to stop and to come back."""
    command = bridge.command("simulate", "--url", bridge.url, "--source", "contoso", "--record", str(record))
    command += ["--header", f"Authorization={bridge.authorization}", "--json"]
    command += ["--count", str(count), "--rate", "250", "--entities", "40"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        try:
            yield load
        finally:
            load.kill()


def _lines(record: Path) -> int:
    return record.read_bytes().count(b"\n") if record.exists() else 0


def _more(record: Path, count: int, what: str) -> None:
    """Wait until so many more calls have ended."""
    enough = _lines(record) + count
    wait_until(lambda: _lines(record) >= enough, what)


def _answered(record: Path) -> list[Answer]:
    attempts = [json.loads(line) for line in record.read_bytes().splitlines()]
    return [
        Answer(*(attempt[name] for name in Answer._fields))
        for attempt in attempts
        if attempt["result"] == "accepted"
    ]


def _waiting(bridge: Bridge) -> float:
    with urllib.request.urlopen(f"{bridge.admin_url}/metrics") as response:  # noqa: S310 - our own bridge
        lines = response.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("tms_bridge_outbox_events ")).split()[1])


async def _read_queue(url: str) -> list[tuple[str, str]]:
    """Take everything out of the witness's queue, in order: ids and digests."""
    seen: list[tuple[str, str]] = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE)
        while (message := await queue.get(fail=False)) is not None:
            await message.ack()
            seen.append((message.message_id or "", str(message.headers["tms-digest"])))
    return seen


def _assert_nothing_missing_and_in_order(answers: list[Answer], seen: list[tuple[str, str]]) -> None:
    assert {answer.id for answer in answers} - {message_id for message_id, _ in seen} == set()
    first: dict[str, int] = {}
    for place, (_, digest) in enumerate(seen):
        first.setdefault(digest, place)
    lives: dict[tuple[str, int], list[Answer]] = {}
    for answer in sorted(answers, key=lambda answer: answer.step):
        lives.setdefault((answer.trigger, answer.entity), []).append(answer)
    for life in lives.values():
        places = [first[answer.digest] for answer in life]
        assert places == sorted(places)


def _finish(load: subprocess.Popen[str], bridge: Bridge) -> dict[str, int]:
    load.send_signal(signal.SIGINT)
    output, errors = load.communicate(timeout=PATIENCE_S)
    assert load.returncode == 130, errors
    wait_until(lambda: _waiting(bridge) == 0, "an empty outbox")
    report: dict[str, int] = json.loads(output)
    return report


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node that these tests may stop, and that they start again."""
    with Node() as node:
        yield node


@pytest.fixture
def bridge(node: Node) -> Iterator[Bridge]:
    with Bridge(node.url, more=QUEUES) as running:
        yield running


@pytest.mark.long
def test_a_stopped_broker_costs_neither_an_event_nor_the_order(
    bridge: Bridge, node: Node, tmp_path: Path
) -> None:
    record = tmp_path / "record.jsonl"
    with _load(bridge, record) as load:
        _more(record, 200, "load")
        node.stop()
        _more(record, 400, "answers while the broker is away")
        node.restart()
        _more(record, 100, "answers while the broker is back")
        report = _finish(load, bridge)
    answers = _answered(record)
    seen = asyncio.run(_read_queue(node.url))
    assert (report["given_up"], report["retried"], len(answers)) == (0, 0, report["accepted"])
    _assert_nothing_missing_and_in_order(answers, seen)


@pytest.mark.long
def test_a_bridge_killed_while_the_broker_is_away_loses_nothing(
    bridge: Bridge, node: Node, tmp_path: Path
) -> None:
    record = tmp_path / "record.jsonl"
    with _load(bridge, record) as load:
        _more(record, 200, "load")
        node.kill()
        _more(record, 200, "answers while the broker is away")
        bridge.kill()
        bridge.start()
        _more(record, 200, "answers after the kill")
        node.restart()
        report = _finish(load, bridge)
    answers = _answered(record)
    seen = asyncio.run(_read_queue(node.url))
    assert (report["given_up"], len(answers)) == (0, report["accepted"])
    _assert_nothing_missing_and_in_order(answers, seen)


def test_a_broker_that_comes_late_gets_what_came_before_it(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    node = Node()
    try:
        with closing(Bridge(node.url, more=QUEUES)) as bridge:
            bridge.start()
            with _load(bridge, record, count=100) as load:
                load.communicate(timeout=PATIENCE_S)
            assert _waiting(bridge) == 100
            node.start()
            wait_until(lambda: _waiting(bridge) == 0, "an empty outbox")
        answers = _answered(record)
        seen = asyncio.run(_read_queue(node.url))
    finally:
        node.close()
    assert (load.returncode, len(answers), len(seen)) == (0, 100, 100)
    _assert_nothing_missing_and_in_order(answers, seen)
