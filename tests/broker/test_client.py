"""How the publisher leans on the AMQP client, and that it publishes what aio-pika itself would."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
import structlog
import uvloop
from aio_pika.abc import AbstractIncomingMessage
from prometheus_client import CollectorRegistry

from tms_bridge.broker import Supervisor, publisher
from tms_bridge.broker.link import FrameTap, Link
from tms_bridge.broker.publisher import check_channel, check_client
from tms_bridge.errors import ClientUnfit, PublisherClosed
from tms_bridge.message import Message, Outcome
from tms_bridge.metrics import PublishMetrics
from tms_bridge.settings.model import Amqp, Queue

OWN_TO_A_DELIVERY = {"consumer_tag", "delivery_tag", "cluster_id"}


async def test_an_event_arrives_as_if_aio_pika_had_published_it(
    bench: Any, event: Callable[..., Message], collect: Any
) -> None:
    publishing = await bench.publisher()
    queue = await bench.queue("tms.class.scheduled")
    message = event(replayed=True, body=b'{"a":1.50}')
    publishing.publish(1, message, "tms.events")
    assert await collect(publishing, 1) == {1: Outcome.CONFIRMED}
    async with await aio_pika.connect(str(bench.url)) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("tms.events", ensure=False)
        await exchange.publish(by_hand(message), message.routing_key)
        ours, theirs = [await (await channel.get_queue(queue)).get() for _ in range(2)]
    assert ours is not None
    assert theirs is not None
    assert fields(ours) == fields(theirs)


def by_hand(message: Message) -> aio_pika.Message:
    """Return the message as docs/messages.md tells of it."""
    return aio_pika.Message(
        message.body,
        message_id=message.id,
        type="com.skillable.tms.class.scheduled",
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        timestamp=datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        app_id="tms-bridge",
        headers={
            "tms-replayed": True,
            "cloudEvents_specversion": "1.0",
            "cloudEvents_type": "com.skillable.tms.class.scheduled",
            "cloudEvents_source": "/tms/contoso",
            "cloudEvents_dataschema": "urn:tms-events:class-changed:1",
            "cloudEvents_id": message.id,
            "cloudEvents_subject": "class/4711",
            "cloudEvents_time": "2026-09-21T14:13:20.123456Z",
            "traceparent": message.traceparent,
            "tms-digest": message.digest,
        },
    )


def fields(message: AbstractIncomingMessage) -> dict[str, object]:
    info = {name: value for name, value in message.info().items() if name not in OWN_TO_A_DELIVERY}
    return {**info, "body": message.body}


async def test_another_version_of_the_client_ends_the_bridge_with_its_name(
    vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "SUPPORTED", {"aio-pika": "10.", "aiormq": "6."})
    with pytest.raises(ClientUnfit, match=r"aiormq 7\S+ is installed; .* tested on 6\.x alone"):
        await connect(vhost)


def test_frames_that_the_library_reads_otherwise_are_unfit(monkeypatch: pytest.MonkeyPatch) -> None:
    check_client()
    monkeypatch.setattr("tms_bridge.broker.encoding._FLAGS", b"\x00\x00")
    with pytest.raises(ClientUnfit, match=r"not what the AMQP client reads \(aio-pika 10"):
        check_client()


async def test_a_used_channel_is_unfit(bench: Any) -> None:
    await bench.publisher()
    session = await bench.session()
    channel = await session.confirm_channel()
    exchange = await channel.get_exchange("tms.unroutable", ensure=False)
    await exchange.publish(aio_pika.Message(b""), "")
    with pytest.raises(ClientUnfit, match="has published something on the publisher's own channel"):
        await check_channel(session, channel)


async def test_a_transport_that_nobody_uses_is_unfit(bench: Any) -> None:
    session = await bench.session()
    channel = await session.confirm_channel()
    assert await check_channel(session, channel) == channel.number
    session.link.frames_seen = 0
    with pytest.raises(ClientUnfit, match="does not use the transport that it was given"):
        await check_channel(session, channel)


async def connect(vhost: str) -> publisher.PipelinedPublisher:
    metrics = PublishMetrics(CollectorRegistry())
    return await Supervisor(Amqp(urls=(vhost,)), metrics, structlog.get_logger()).connect()


async def test_a_return_that_matches_nothing_closes_the_connection(
    vhost: str, event: Callable[..., Message]
) -> None:
    publishing = await connect(vhost)
    publishing.publish(1, event(routing_key="nobody.wants.it"), "tms.events")
    key, _, sent_at = publishing._flights[1]
    publishing._flights[1] = (key, "another", sent_at)
    with pytest.raises(PublisherClosed, match="is not in flight"):
        await publishing.outcomes()


def test_it_publishes_and_fails_alike_on_uvloop(vhost: str, event: Callable[..., Message]) -> None:
    async def publish() -> None:
        queues = (Queue(name="crm", bindings=("tms.class.scheduled",)),)
        watcher = Supervisor(
            Amqp(urls=(vhost,), queues=queues), PublishMetrics(CollectorRegistry()), structlog.get_logger()
        )
        publisher = await watcher.connect()
        for key in range(200):
            publisher.publish(key, event(), "tms.events")
        publisher.publish(200, event(routing_key="tms.class.denied"), "tms.events")
        outcomes: dict[int, Outcome] = {}
        while len(outcomes) < 201:
            outcomes.update(await publisher.outcomes())
        assert outcomes == dict.fromkeys(range(200), Outcome.CONFIRMED) | {200: Outcome.RETURNED}
        publisher.publish(1, event(), "tms.nowhere")
        with pytest.raises(PublisherClosed, match="404 NOT_FOUND"):
            await publisher.outcomes()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(publish())


ACK = b"\x01\x00\x05\x00\x00\x00\x0d\x00\x3c\x00\x50" + (9).to_bytes(8) + b"\x00\xce"
OPEN_OK = b"\x01\x00\x05\x00\x00\x00\x08\x00\x14\x00\x0b\x00\x00\x00\x00\xce"


@pytest.mark.parametrize("step", [1, 2, 5, 7, 8, 1000])
async def test_frames_are_told_apart_however_the_bytes_are_cut(step: int) -> None:
    claimed: list[bytes] = []
    link = Link()
    link.publishing_channel = 5

    def claim(_kind: int, data: bytes, start: int, size: int) -> bool:
        claimed.append(data[start : start + size])
        return data[start : start + 4] == b"\x00\x3c\x00\x50"

    link.claim = claim
    reader = asyncio.StreamReader()
    tap = FrameTap(link, reader, asyncio.get_running_loop())
    stream = OPEN_OK + ACK + ACK + OPEN_OK
    for start in range(0, len(stream), step):
        tap.data_received(stream[start : start + step])
    reader.feed_eof()
    handed_on = (await reader.read()).replace(b"\x08\x00\x00\x00\x00\x00\x00\xce", b"")
    assert handed_on == OPEN_OK * 2
    assert claimed == [OPEN_OK[7:-1], ACK[7:-1], ACK[7:-1], OPEN_OK[7:-1]]
