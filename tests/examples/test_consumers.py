"""The examples as their readers run them: a real bridge, a real broker, and a bad day for both."""

import asyncio
import itertools
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aio_pika
import aiohttp
import pytest
from tests.waiting import until

import tms_events
from bridge import Bridge
from tms_events.testing import POISON, make_event

EXAMPLES = Path(__file__).parents[2] / "examples"
CONSUMERS = ["consumer.py", "pika_consumer.py", "kombu_consumer.py", "faststream_app.py", "single_active.py"]
STATUSES = {"requested": 5, "scheduled": 0, "guaranteed_to_run": 1, "cancelled": 2, "completed": 7}

State = dict[str, tuple[str, int]]


class Consumer:
    """One example as a process of its own, with its table."""

    def __init__(self, name: str, amqp_url: str, database: Path) -> None:
        self.name, self.database, self._amqp_url = name, database, amqp_url
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, EXAMPLES / self.name, env={**os.environ, **self.environment()}
        )

    def environment(self) -> dict[str, str]:
        return {"AMQP_URL": self._amqp_url, "DATABASE": str(self.database)}

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    def state(self) -> State:
        """Return each class's last status and how many events were applied to it."""
        if not self.database.exists():
            return {}
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            rows = connection.execute("SELECT key, status, changes FROM class").fetchall()
        except sqlite3.OperationalError:  # its tables are not there yet
            return {}
        finally:
            connection.close()
        return {key: (status, changes) for key, status, changes in rows}


class Sender:
    """TMS: sends until it is answered 2xx, and knows where each class must be in the end."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._names = itertools.count()
        self.expected: State = {}

    async def send(self, entity: int, status: str) -> None:
        # Each body is another one, so that no event is taken for TMS's retry of one before.
        body = {"Id": entity, "ConfirmationStatusId": STATUSES[status], "Name": f"{next(self._names)}"}
        url = f"{self._bridge.url}/webhooks/contoso/class-changed"
        headers = {"Authorization": self._bridge.authorization}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=body, headers=headers) as answer,
        ):
            assert answer.status == 202, await answer.text()
        key = f"contoso/class/{entity}"
        self.expected[key] = (status, self.expected.get(key, ("", 0))[1] + 1)


@pytest.fixture
def bridge(vhost: str) -> Iterator[Bridge]:
    with Bridge(vhost) as running:
        yield running


@pytest.fixture
async def channel(vhost: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(vhost) as connection:
        yield await connection.channel()


@pytest.fixture
async def consume(vhost: str, tmp_path: Path) -> AsyncIterator[Callable[[str], Consumer]]:
    """Make consumers, which end with the test."""
    made = list[Consumer]()

    def make(name: str, amqp_url: str = vhost) -> Consumer:
        made.append(Consumer(name, amqp_url, tmp_path / "crm.db"))
        return made[-1]

    yield make
    for consumer in made:
        await consumer.kill()


async def consumers_of(amqp_url: str, queue: str) -> int:
    """Return how many consumers a queue has; none where it is not there."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        try:
            declared = await channel.declare_queue(queue, passive=True)
        except aio_pika.exceptions.ChannelClosed:
            return 0
        return int(declared.declaration_result.consumer_count or 0)


async def reading(amqp_url: str, queue: str = "crm", count: int = 1) -> None:
    async with asyncio.timeout(30):
        while await consumers_of(amqp_url, queue) < count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", CONSUMERS)
async def test_a_consumer_survives_a_bad_day(
    name: str,
    vhost: str,
    bridge: Bridge,
    channel: aio_pika.abc.AbstractChannel,
    consume: Callable[[str], Consumer],
) -> None:
    consumer, tms = consume(name), Sender(bridge)
    await consumer.start()
    await reading(vhost)
    exchange = await channel.get_exchange(tms_events.EXCHANGE)

    # Both are killed while events are on their way.
    for status in ("requested", "scheduled"):
        await asyncio.gather(*(tms.send(entity, status) for entity in (1, 2, 3)))
    bridge.kill()
    await consumer.kill()
    bridge.start()
    await tms.send(1, "cancelled")
    await consumer.start()
    await until(lambda: consumer.state() == tms.expected)

    # A copy, a body that is no event, and the event after it.
    copy = tms_events.encode(
        make_event("class", "denied", entity_id=9, id="019b8d3f-b106-7000-8000-000000000016")
    )
    for body in (copy, POISON, copy):
        await exchange.publish(aio_pika.Message(body, content_type="application/json"), "tms.class.denied")
    tms.expected["contoso/class/9"] = ("denied", 1)
    await tms.send(2, "completed")
    await until(lambda: consumer.state() == tms.expected)
    dead = await channel.declare_queue("crm.dead", passive=True)
    letter = await dead.get(timeout=20)
    assert (letter.body, letter.headers["x-first-death-reason"]) == (POISON, "rejected")

    # What fails now works later: another process holds the table.
    holder = sqlite3.connect(consumer.database)
    holder.execute("BEGIN EXCLUSIVE")
    await tms.send(3, "guaranteed_to_run")
    await redelivered_or_waiting(consumer)
    holder.rollback()
    holder.close()
    await until(lambda: consumer.state() == tms.expected)
    assert await dead.get(fail=False) is None


async def redelivered_or_waiting(consumer: Consumer) -> None:
    """Let the consumer meet the locked table at least once: its own time limit is one second."""
    await asyncio.sleep(1.5)
    assert consumer.process is not None
    assert consumer.process.returncode is None
