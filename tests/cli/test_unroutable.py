import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, FieldValue

from .conftest import Invoke

T = TypeVar("T")


def on_bus(url: str, work: Callable[[AbstractChannel], Coroutine[object, object, T]]) -> T:
    async def run() -> T:
        async with await aio_pika.connect(url) as connection:
            return await work(await connection.channel())

    return asyncio.run(run())


def put(url: str, *keys: str) -> None:
    """Publish to the queue as the bridge does, with the key that found no queue."""

    async def work(channel: AbstractChannel) -> None:
        exchange = await channel.get_exchange("tms.unroutable")
        for key in keys:
            headers: dict[str, FieldValue] = {"tms-digest": "d"}
            message = aio_pika.Message(
                b"{}", message_id=f"id-{key}", headers=headers, delivery_mode=2, type="t"
            )
            await exchange.publish(message, key)

    on_bus(url, work)


def bind(url: str, key: str) -> None:
    async def work(channel: AbstractChannel) -> None:
        # A classic queue, which adds no header of its own.
        queue = await channel.declare_queue("late", durable=True)
        await queue.bind("tms.events", key)

    on_bus(url, work)


def test_what_waits_is_counted(invoke: Invoke, with_broker: Path, vhost: str) -> None:
    invoke("topology", "apply", "--config", with_broker)
    put(vhost, "tms.course_assignment.started", "tms.course_assignment.expired")
    result = invoke("unroutable", "status", "--config", with_broker, "--json")
    assert (0, {"queue": "tms.unroutable", "events": 2}) == (result.exit_code, json.loads(result.stdout))


def test_a_queue_that_is_not_there_is_exit_code_1(invoke: Invoke, with_broker: Path) -> None:
    result = invoke("unroutable", "status", "--config", with_broker)
    assert (1, "") == (result.exit_code, result.stdout)
    assert "tms.unroutable" in result.stderr


def test_events_that_a_queue_wants_now_leave_and_the_others_stay(
    invoke: Invoke, with_broker: Path, vhost: str
) -> None:
    invoke("topology", "apply", "--config", with_broker)
    put(vhost, "tms.course_assignment.started", "tms.course_assignment.expired")
    bind(vhost, "#.started")
    result = invoke("unroutable", "replay", "--config", with_broker, "--json")
    assert 1 == result.exit_code
    assert [True, False] == [json.loads(line)["routed"] for line in result.stdout.splitlines()]
    status = invoke("unroutable", "status", "--config", with_broker, "--json")
    assert 1 == json.loads(status.stdout)["events"]
    bind(vhost, "#.expired")
    last = invoke("unroutable", "replay", "--config", with_broker)
    assert (0, "replayed  tms.course_assignment.expired  id-tms.course_assignment.expired\n") == (
        last.exit_code,
        last.stdout,
    )
    assert "0" == invoke("unroutable", "status", "--config", with_broker).stdout.split()[-1]
    assert [
        (f"id-{key}", "t", 2, {"tms-digest": "d", "tms-replayed": True})
        for key in ("tms.course_assignment.started", "tms.course_assignment.expired")
    ] == on_bus(vhost, taken)


async def taken(channel: AbstractChannel) -> list[tuple[object, ...]]:
    queue = await channel.get_queue("late")
    found: list[tuple[object, ...]] = []
    while message := await queue.get(no_ack=True, fail=False):
        found.append((message.message_id, message.type, message.delivery_mode, message.headers))
    return found
