"""A bad day for a consumer, its bridge and its broker; and the consumers as processes of their own."""

import asyncio
import itertools
import os
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import aio_pika
import aiohttp
from tests.waiting import PATIENCE_S, patience, until

from bridge import Bridge
from tms_events import EXCHANGE, encode, topic
from tms_events.testing import POISON, make_event

EXAMPLES = Path(__file__).parents[2] / "examples"
STATUSES = {"requested": 5, "scheduled": 0, "guaranteed_to_run": 1, "cancelled": 2, "completed": 7}

State = dict[str, tuple[str, int]]


class Consumer:
    """One example as a process of its own, with its table."""

    def __init__(self, command: Sequence[str | Path], amqp_url: str, database: str) -> None:
        self.command, self.database, self._amqp_url = command, database, amqp_url
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environment = {**os.environ, "AMQP_URL": self._amqp_url, "DATABASE": self.database}
        self.process = await asyncio.create_subprocess_exec(*self.command, env=environment)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    def forget(self) -> None:
        """Remove its table."""
        Path(self.database).unlink()

    def state(self) -> State:
        """Return each class's last status and how many events were applied to it."""
        if not Path(self.database).exists():
            return {}
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=PATIENCE_S)
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


async def bound(amqp_url: str, tms: Sender) -> None:
    """Wait until a consumer has bound its queue: publish one event until it is routed."""
    body = encode(make_event("class", "denied", entity_id=99))
    async with patience(), await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(EXCHANGE)
        while True:
            try:
                await exchange.publish(json_message(body), topic("class", "denied"))
            except aio_pika.exceptions.PublishError:
                await asyncio.sleep(0.05)
            else:
                break
    tms.expected["contoso/class/99"] = ("denied", 1)


def json_message(body: bytes) -> aio_pika.Message:
    return aio_pika.Message(body, content_type="application/json")


async def bad_day(consumer: Consumer, tms: Sender, bridge: Bridge, amqp_url: str) -> None:
    """Kill both while events are on their way; then a copy, what is no event, and the event after it."""
    await consumer.start()
    await bound(amqp_url, tms)
    for status in ("requested", "scheduled"):
        await asyncio.gather(*(tms.send(entity, status) for entity in (1, 2, 3)))
    bridge.kill()
    await consumer.kill()
    bridge.start()
    await tms.send(1, "cancelled")
    await consumer.start()
    await until(lambda: consumer.state() == tms.expected)

    copy = encode(make_event("class", "denied", entity_id=9))
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EXCHANGE)
        for body in (copy, POISON, copy):
            await exchange.publish(json_message(body), topic("class", "denied"))
        tms.expected["contoso/class/9"] = ("denied", 1)
        await tms.send(2, "completed")
        await until(lambda: consumer.state() == tms.expected)
        await only_poison_is_dead(channel)


async def only_poison_is_dead(channel: aio_pika.abc.AbstractChannel) -> None:
    dead = await channel.declare_queue("crm.dead", passive=True)
    async with patience():
        while (letter := await dead.get(fail=False)) is None:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.02)
    assert (POISON, "rejected") == (letter.body, letter.headers["x-first-death-reason"])
    await letter.ack()
    assert await dead.get(fail=False) is None


async def failing_day(consumer: Consumer, tms: Sender) -> None:
    """Let another process lock what the consumer writes to for a while: what fails now works later."""
    holder = sqlite3.connect(consumer.database)
    holder.execute("BEGIN EXCLUSIVE")
    await tms.send(3, "guaranteed_to_run")
    await asyncio.sleep(1.5)  # longer than the second for which the consumer waits for the lock
    assert consumer.process is not None
    assert consumer.process.returncode is None
    holder.rollback()
    holder.close()
    await until(lambda: consumer.state() == tms.expected)
