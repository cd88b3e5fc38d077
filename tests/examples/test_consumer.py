"""The example that the README shows, as its reader runs it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import msgspec
import pytest

import tms_events

EXAMPLE = Path(__file__).parents[2] / "examples" / "consumer.py"
EVENT = tms_events.ClassChanged(
    id="01932f0e-0000-7000-8000-000000000000",
    source="contoso",
    status=tms_events.ClassStatus.GUARANTEED_TO_RUN,
    status_from=tms_events.StatusFrom.PAYLOAD,
    received_at=datetime(2026, 3, 19, 15, 17, 55, tzinfo=UTC),
    class_=tms_events.Class(id=4711),
    payload=msgspec.Raw(b'{"Id": 4711}'),
)


@pytest.fixture
async def consumer(vhost: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "AMQP_URL": vhost}
    process = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLE, stdout=asyncio.subprocess.PIPE, env=environment
    )
    yield process
    process.kill()
    await process.wait()


async def publish(channel: aio_pika.abc.AbstractChannel, routing_key: str) -> None:
    """Publish the event once its queue is bound; until then the broker returns it."""
    exchange = await channel.declare_exchange(tms_events.EXCHANGE, "topic", durable=True)
    while True:
        try:
            await exchange.publish(aio_pika.Message(msgspec.json.encode(EVENT)), routing_key)
        except aio_pika.exceptions.PublishError:
            await asyncio.sleep(0.02)
        else:
            return


async def test_the_example_prints_the_class_events_that_are_on_the_bus(
    vhost: str, consumer: asyncio.subprocess.Process
) -> None:
    assert consumer.stdout is not None
    async with asyncio.timeout(30), await aio_pika.connect(vhost) as connection:
        channel = await connection.channel(on_return_raises=True)
        await publish(channel, tms_events.topic("class", "guaranteed_to_run"))
        assert f"guaranteed_to_run 4711 {EVENT.id}\n" == (await consumer.stdout.readline()).decode()
