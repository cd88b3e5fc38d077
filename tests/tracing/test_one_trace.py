"""From a sender through the bridge to a consumer, as an OTLP receiver sees it; each a program of its own."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from opentelemetry.trace import SpanKind
from tests.bootstrap.running import ask, bridge, configure, webhook
from tests.tracing.receiver import PATIENCE_S, Receiver, Seen, Traced

from rabbitmq import Node

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)
NAME = "POST /webhooks/{source}/class-changed"
KEY = "tms.class.completed"


def told(traceparent: str, entity: int = 1) -> bytes:
    """Return a webhook of a caller that is traced itself."""
    return webhook(entity).replace(b"Host: x\r\n", f"Host: x\r\ntraceparent: {traceparent}\r\n".encode())


@asynccontextmanager
async def consuming(url: str) -> AsyncIterator[asyncio.Queue[AbstractIncomingMessage]]:
    """Take what comes to the queue of the bridge's configuration."""
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("all", durable=True, passive=True)
        await queue.consume(arrived.put, no_ack=True)
        yield arrived


async def next_of(arrived: asyncio.Queue[AbstractIncomingMessage]) -> AbstractIncomingMessage:
    async with asyncio.timeout(PATIENCE_S):
        return await arrived.get()


def place_of(message: AbstractIncomingMessage) -> str:
    return str(message.headers["traceparent"])


async def assert_one_trace(receiver: Receiver, begun: str) -> dict[int, Seen]:
    """Wait for the four spans of a trace; they hang together from the sender to the consumer."""
    spans = await receiver.until(lambda span: span.trace_id == begun[3:35], 4)
    by_kind = {span.kind: span for span in spans}
    line = [by_kind[kind] for kind in (CLIENT, SERVER, PRODUCER, CONSUMER)]
    assert 4 == len(spans)
    assert [span.parent for span in line] == ["", *(span.span_id for span in line[:-1])]
    assert ["sender", "tms-bridge", "tms-bridge", "consumer"] == [span.service for span in line]
    return by_kind


async def test_sender_bridge_and_consumer_are_one_trace(
    vhost: str, receiver: Receiver, tmp_path: Path
) -> None:
    async with bridge(configure(tmp_path, vhost), variables=receiver.environ) as running:
        await running.until("broker connected")
        begun = await Traced("sender", receiver).step("send", SpanKind.CLIENT)
        async with consuming(vhost) as arrived:
            status, body = await running.ask(told(begun))
            message = await next_of(arrived)
        await Traced("consumer", receiver).step("process", SpanKind.CONSUMER, place_of(message))
        spans = await assert_one_trace(receiver, begun)
        line = await running.until("webhook")
    assert (202, begun[3:35]) == (status, line["trace_id"])
    assert spans[SERVER].span_id == line["request_id"]
    assert_server(spans[SERVER], json.loads(body)["id"])
    assert_producer(spans[PRODUCER], json.loads(body)["id"], len(message.body))


def assert_server(span: Seen, event_id: str) -> None:
    expected = {
        "http.request.method": "POST",
        "http.route": "/webhooks/{source}/class-changed",
        "http.response.status_code": 202,
        "url.path": "/webhooks/contoso/class-changed",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "tms.source": "contoso",
        "tms.trigger": "class",
        "tms.outcome": "accepted",
        "tms.id": event_id,
        "tms.routing_key": KEY,
    }
    assert (NAME, expected, False) == (span.name, span.attributes, span.failed)


def assert_producer(span: Seen, event_id: str, size: int) -> None:
    expected = {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "send",
        "messaging.operation.name": "publish",
        "messaging.destination.name": f"tms.events:{KEY}",
        "messaging.rabbitmq.destination.routing_key": KEY,
        "messaging.message.id": event_id,
        "messaging.message.body.size": size,
        "tms.source": "contoso",
        "tms.trigger": "class",
    }
    assert (f"publish tms.events:{KEY}", expected, False) == (span.name, span.attributes, span.failed)


@pytest.mark.long
async def test_an_event_that_waited_over_a_restart_is_one_trace_too(
    receiver: Receiver, tmp_path: Path
) -> None:
    node = Node()
    config = configure(tmp_path, node.url)
    begun = await Traced("sender", receiver).step("send", SpanKind.CLIENT)
    try:
        async with bridge(config, variables=receiver.environ) as running:
            assert 202 == (await running.ask(told(begun)))[0]
            await receiver.until(lambda span: span.kind == SERVER)
            running.send(signal.SIGKILL)
            await running.end()
        async with bridge(config, variables=receiver.environ) as running:
            await asyncio.to_thread(node.start)
            await running.until("broker connected")
            async with consuming(node.url) as arrived:
                message = await next_of(arrived)
            await Traced("consumer", receiver).step("process", SpanKind.CONSUMER, place_of(message))
            await assert_one_trace(receiver, begun)
    finally:
        await asyncio.to_thread(node.close)


async def test_a_caller_that_is_not_traced_begins_a_trace(
    vhost: str, receiver: Receiver, tmp_path: Path
) -> None:
    async with bridge(configure(tmp_path, vhost), variables=receiver.environ) as running:
        assert 202 == (await running.post(1))[0]
        (server,) = await receiver.until(lambda span: span.kind == SERVER)
        (producer,) = await receiver.until(lambda span: span.kind == PRODUCER)
    assert ("", server.span_id) == (server.parent, producer.parent)
    assert server.trace_id == producer.trace_id


async def test_what_the_caller_does_not_look_at_is_not_looked_at_here(
    vhost: str, receiver: Receiver, tmp_path: Path
) -> None:
    unseen, seen = (f"00-{digit * 32}-{digit * 16}-{flags}" for digit, flags in (("a", "00"), ("b", "01")))
    async with bridge(configure(tmp_path, vhost), variables=receiver.environ) as running:
        await running.until("broker connected")
        async with consuming(vhost) as arrived:
            for entity, place in enumerate((unseen, seen)):
                assert 202 == (await running.ask(told(place, entity + 1)))[0]
            places = sorted([place_of(await next_of(arrived)) for _ in range(2)])
        await receiver.until(lambda span: span.kind == PRODUCER)
        line = await running.until("webhook")
    assert [(unseen[3:35], "00"), (seen[3:35], "01")] == [(place[3:35], place[53:]) for place in places]
    assert (places[0][36:52], unseen[3:35]) == (line["request_id"], line["trace_id"])
    assert {seen[3:35]} == {span.trace_id for span in receiver.spans}


async def test_the_sampler_of_the_environment_decides_on_what_begins_here(
    vhost: str, receiver: Receiver, tmp_path: Path
) -> None:
    never = {**receiver.environ, "OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_SERVICE_NAME": "ours"}
    async with bridge(configure(tmp_path, vhost), variables=never) as running:
        await running.until("broker connected")
        async with consuming(vhost) as arrived:
            assert 202 == (await running.post(1))[0]
            assert "00" == place_of(await next_of(arrived))[53:]
            assert 202 == (await running.ask(told(f"00-{'c' * 32}-{'c' * 16}-01", 2)))[0]
            assert "01" == place_of(await next_of(arrived))[53:]
        await receiver.until(lambda span: span.kind == PRODUCER)
    assert {("ours", "c" * 32)} == {(span.service, span.trace_id) for span in receiver.spans}


async def test_what_no_queue_wanted_shows_where_it_went_instead(
    vhost: str, receiver: Receiver, tmp_path: Path
) -> None:
    config = configure(tmp_path, vhost)
    config.write_text(
        config.read_text().replace('bindings = ["tms.#"]', 'bindings = ["tms.course_assignment.*"]')
    )
    async with bridge(config, variables=receiver.environ) as running:
        assert 202 == (await running.post(1))[0]
        first, second = await receiver.until(lambda span: span.kind == PRODUCER, 2)
    assert (f"publish tms.events:{KEY}", True, "returned") == (
        first.name,
        first.failed,
        first.attributes["error.type"],
    )
    assert (f"publish tms.unroutable:{KEY}", False) == (second.name, second.failed)
    assert first.parent == second.parent


async def test_a_refused_webhook_is_a_span_without_a_publish(
    vhost: str, receiver: Receiver, tmp_path: Path
) -> None:
    wrong = webhook(1).replace(b"Authorization: Basic ", b"Authorization: Basic x")
    async with bridge(configure(tmp_path, vhost), variables=receiver.environ) as running:
        assert 401 == (await running.ask(wrong))[0]
        (span,) = await receiver.until(lambda _: True)
    assert (NAME, 401, "unauthorized", False) == (
        span.name,
        span.attributes["http.response.status_code"],
        span.attributes["tms.outcome"],
        span.failed,
    )


async def test_a_test_event_is_a_trace_that_begins_in_the_bridge(
    vhost: str, receiver: Receiver, tmp_path: Path
) -> None:
    path = "/api/v1/sources/contoso/test?trigger=class&status=denied"
    async with bridge(configure(tmp_path, vhost), variables=receiver.environ) as running:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {running.admin}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        status, body = await ask(running.admin, head.encode())
        assert 200 == status
        begun, published = sorted(await receiver.until(lambda _: True, 2), key=lambda span: span.parent)
    assert ("test event", INTERNAL, "", json.loads(body)["id"]) == (
        begun.name,
        begun.kind,
        begun.parent,
        begun.attributes["tms.id"],
    )
    assert ("publish tms.events:tms.class.denied", begun.span_id) == (published.name, published.parent)
