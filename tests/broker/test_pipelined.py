"""What only the pipelined publisher does: its check of itself, and its place on another event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog
import uvloop
from structlog.testing import capture_logs

from tms_bridge.broker import Silent, Supervisor, pipelined
from tms_bridge.broker.link import FrameTap, Link
from tms_bridge.broker.pipelined import PipelinedPublisher, unfit
from tms_bridge.broker.plain import PlainPublisher
from tms_bridge.errors import PublisherClosed
from tms_bridge.message import Message, Outcome
from tms_bridge.settings.model import Amqp, Queue


class Counting(Silent):
    """Counts fallbacks."""

    def __init__(self) -> None:
        self.fallbacks = 0

    def fell_back(self) -> None:
        self.fallbacks += 1


async def test_the_supervisor_publishes_pipelined(vhost: str) -> None:
    publisher = await Supervisor(Amqp(urls=(vhost,)), Silent(), structlog.get_logger()).connect()
    assert isinstance(publisher, PipelinedPublisher)
    await publisher.close()


async def test_an_untested_client_version_is_published_through_plainly_and_loudly(
    vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelined, "SUPPORTED_AIORMQ", "6.")
    counting = Counting()
    with capture_logs() as lines:
        publisher = await Supervisor(Amqp(urls=(vhost,)), counting, structlog.get_logger()).connect()
    assert isinstance(publisher, PlainPublisher)
    assert counting.fallbacks == 1
    assert [line["log_level"] for line in lines] == ["error", "info"]
    await publisher.close()


async def test_a_used_channel_is_unfit(plain_bench: Any, event: Callable[..., Message], collect: Any) -> None:
    publisher = await plain_bench.publisher()
    publisher.publish(1, event(), "tms.unroutable")
    await collect(publisher, 1)
    assert (
        unfit(plain_bench.sessions[0], publisher._channel) == "something was published on the channel before"
    )


async def test_a_return_that_matches_nothing_closes_the_connection(
    vhost: str, event: Callable[..., Message]
) -> None:
    publisher = await Supervisor(Amqp(urls=(vhost,)), Silent(), structlog.get_logger()).connect()
    assert isinstance(publisher, PipelinedPublisher)
    publisher.publish(1, event(routing_key="nobody.wants.it"), "tms.events")
    key, _, sent_at = publisher._flights[1]
    publisher._flights[1] = (key, "another", sent_at)
    with pytest.raises(PublisherClosed, match="is not in flight"):
        await publisher.outcomes()


async def test_a_transport_that_nobody_uses_is_unfit(plain_bench: Any) -> None:
    session = await plain_bench.session()
    channel = await session.confirm_channel()
    assert unfit(session, channel) is None
    session.link.frames_seen = 0
    assert unfit(session, channel) == "aiormq does not use the transport that it was given"


async def test_frames_that_the_library_reads_otherwise_are_unfit(
    plain_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await plain_bench.session()
    channel = await session.confirm_channel()
    monkeypatch.setattr("tms_bridge.broker.frames._FLAGS", b"\x00\x00")
    assert unfit(session, channel) == "the frames that we make are not what the AMQP library reads"


def test_it_publishes_and_fails_alike_on_uvloop(vhost: str, event: Callable[..., Message]) -> None:
    async def publish() -> None:
        queues = (Queue(name="crm", bindings=("tms.class.scheduled",)),)
        watcher = Supervisor(Amqp(urls=(vhost,), queues=queues), Silent(), structlog.get_logger())
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
