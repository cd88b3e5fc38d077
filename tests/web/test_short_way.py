"""Requests that have come whole, and those that have not."""

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from tests.waiting import patience, until
from tests.web.running import BODY, SOURCE, Answered, Bridge, read_answer, request, serve

from tms_bridge.errors import Unavailable
from tms_bridge.http.parser import WatchedParser, unfit
from tms_bridge.http.server import Connection
from tms_bridge.settings.model import Http
from tms_bridge.web import Routes, limits


class Caller:
    """A connection that TMS keeps open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, *pieces: bytes) -> Answered:
        for piece in pieces:
            self.writer.write(piece)
            # Each piece is a segment of its own once the loop has turned and the bridge has read it.
            for _ in range(20):
                await asyncio.sleep(0)
        return await read_answer(self.reader)

    async def gone(self) -> bool:
        return await self.reader.read() == b""


def body(number: int) -> bytes:
    return b'{"Id": 1%03d, "ConfirmationStatusId": 7}' % number


@pytest.fixture
async def caller(bridge: Bridge) -> AsyncIterator[Caller]:
    """A caller whose first webhook was answered."""
    caller = Caller(*await bridge.connect())
    assert (await caller.ask(request(body(0)))).status == 202
    bridge.short.clear()
    yield caller
    caller.writer.close()


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"X_Request_Id": "7", "X_Amzn_Trace_Id": "Root=1-67891233-abcdef012345678912345678"},
        {"X_Padding": "x" * 5000},
        {"Connection": "close"},
        {"Authorization": "", "X_Api_Key": "s3cret-key"},
    ],
)
async def test_whatever_its_head_a_whole_webhook_takes_the_short_way(
    bridge: Bridge, head: dict[str, str]
) -> None:
    answers = [await bridge.ask(request(body(number), **head)) for number in range(2)]

    assert [202, 202] == [answer.status for answer in answers]
    assert ["/webhooks/contoso/class-changed"] * 2 == bridge.short
    assert ["1000", "1001"] == [message.entity for message in bridge.shelf.accepted]
    assert [1, 2] == bridge.shelf.answered
    assert bridge.shelf.accepted[0].traceparent.split("-")[2] == answers[0].headers["x-request-id"]


async def test_a_chunked_body_that_came_whole_takes_it_too(bridge: Bridge, caller: Caller) -> None:
    raw = request(b"", Content_Length="", Transfer_Encoding="chunked") + b"%x\r\n%b\r\n0\r\n\r\n"
    assert (await caller.ask(raw % (len(body(1)), body(1)))).status == 202
    assert (len(bridge.short), len(bridge.shelf.accepted)) == (1, 2)


async def test_a_webhook_is_logged_and_counted_the_same_either_way(bridge: Bridge, caller: Caller) -> None:
    raw = request(body(1))
    await caller.ask(raw[:-10], raw[-10:])
    await caller.ask(request(body(2)))
    _, long, short = bridge.lines.of("webhook")

    assert (3, 1) == (bridge.count("accepted"), len(bridge.short))
    varying = {"timestamp", "id", "request_id", "duration_ms"}
    assert {key: long[key] for key in long.keys() - varying} == {
        key: short[key] for key in short.keys() - varying
    }


async def test_an_aiohttp_that_does_not_fit_costs_the_short_way_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tms_bridge.http.server.unfit", lambda _: "it is another one")
    async with serve(Http(), {"contoso": SOURCE}) as bridge:
        answer = await bridge.post()

        assert (202, []) == (answer.status, bridge.short)


@pytest.mark.usefixtures("bridge")
async def test_the_self_check_sees_a_parser_that_answers_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    def connection() -> web.RequestHandler:
        server = web.Server(handle)
        return web.RequestHandler(server, loop=asyncio.get_running_loop())

    assert unfit(connection()) is None
    monkeypatch.setattr(WatchedParser, "feed_data", lambda parser, data: parser._feed(data))
    assert "it parsed" in str(unfit(connection())) or "unpack" in str(unfit(connection()))


async def test_a_reload_judges_the_next_webhook_of_a_connection(bridge: Bridge, caller: Caller) -> None:
    elsewhere = msgspec.structs.replace(SOURCE, allow_from=("192.0.2.1",))
    bridge.webhooks.take_over(Routes(Http(), {"contoso": elsewhere}))

    assert (await caller.ask(request(body(1)))).status == 403


async def test_a_body_that_comes_in_parts_goes_the_long_way_and_the_next_does_not(
    bridge: Bridge, caller: Caller
) -> None:
    raw = request(body(1))
    assert (await caller.ask(raw[:-10], raw[-10:])).status == 202
    assert bridge.short == []
    assert (await caller.ask(request(body(2)))).status == 202
    assert len(bridge.short) == 1


async def test_a_head_that_comes_in_parts_is_answered(bridge: Bridge, caller: Caller) -> None:
    raw = request(body(1))
    assert (await caller.ask(raw[:30], raw[30:])).status == 202
    assert (await caller.ask(request(body(2)))).status == 202
    assert [message.entity for message in bridge.shelf.accepted] == ["1000", "1001", "1002"]


async def test_pipelined_requests_are_answered_in_order(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.open.clear()
    caller.writer.write(request(body(1)))
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    caller.writer.write(request(body(2)))
    caller.writer.write(request(body(3)) + request(body(4)))
    probe = b"GET /livez HTTP/1.1\r\nHost: bridge\r\n\r\n"
    caller.writer.write(probe)
    bridge.shelf.open.set()

    ids = [(await read_answer(caller.reader)).json["id"] for _ in range(4)]
    assert ids == [message.id for message in bridge.shelf.accepted[1:]]
    assert (await read_answer(caller.reader)).json == {"status": "live"}


async def test_much_that_is_pipelined_is_not_kept_in_memory(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.open.clear()
    caller.writer.write(request(body(1)))
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    caller.writer.write(request(body(2)) * 20_000)
    (connection,) = bridge.server.connections
    assert isinstance(connection, Connection)
    transport = connection.transport
    assert isinstance(transport, asyncio.Transport)
    await until(lambda: not transport.is_reading())
    assert len(connection._behind) < 400_000
    bridge.shelf.open.set()
    for _ in range(1000):
        assert (await read_answer(caller.reader)).status == 202


async def test_a_full_outbox_is_answered_503(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.full = bridge.shelf.failure = Unavailable("the outbox is full")
    answer = await caller.ask(request(body(1)))

    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert bridge.count("unavailable") == 1


async def test_what_did_not_become_durable_is_answered_503(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.failure = Unavailable("the outbox broke")
    answer = await caller.ask(request(body(1)))

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert await caller.gone()
    assert (bridge.count("unavailable"), bridge.webhooks.in_flight.count) == (1, 0)


async def test_a_defect_is_answered_500_and_logged(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.failure = ZeroDivisionError("a defect")
    answer = await caller.ask(request(body(1)))

    assert answer.status == 500
    assert "ZeroDivisionError" in str(bridge.lines.of("defect")[0]["exception"])


async def test_a_defect_in_the_record_does_not_reach_the_outbox(
    bridge: Bridge, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loud.append(context))
    monkeypatch.setattr(bridge.metrics.intake.duration, "observe", lambda _: 1 / 0)
    answer = await caller.ask(request(body(1)))

    assert (answer.status, bridge.webhooks.in_flight.count, loud) == (202, 0, [])
    assert "ZeroDivisionError" in str(bridge.lines.of("defect")[0]["exception"])


async def test_a_caller_who_hangs_up_before_the_commit_counts_as_unanswered(
    bridge: Bridge, caller: Caller
) -> None:
    bridge.shelf.open.clear()
    caller.writer.write(request(body(1)))
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    caller.writer.transport.abort()
    await until(lambda: not bridge.server.connections)
    bridge.shelf.open.set()
    await until(lambda: bridge.webhooks.in_flight.count == 0)

    assert bridge.shelf.taken_back == [2]
    assert bridge.lines.of("webhook")[-1]["answered"] is False


async def test_an_event_that_becomes_durable_too_late_counts_as_unanswered() -> None:
    async with serve(Http(deadline_s=1), {"contoso": SOURCE}) as bridge:
        caller = Caller(*await bridge.connect())
        assert (await caller.ask(request(body(0)))).status == 202
        bridge.shelf.open.clear()
        answer = await caller.ask(request(body(1)))

        assert (answer.status, answer.json["detail"]) == (503, limits.TOO_LATE)
        assert await caller.gone()
        bridge.shelf.open.set()
        await until(lambda: bridge.shelf.taken_back == [2])


async def test_a_stopping_bridge_closes_after_the_answer(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.open.clear()
    caller.writer.write(request(body(1)))
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    bridge.health.stopping = True
    bridge.shelf.open.set()
    answer = await read_answer(caller.reader)

    assert (answer.status, answer.headers["connection"]) == (202, "close")
    assert await caller.gone()
    async with patience():
        await bridge.webhooks.finish()


async def test_no_more_are_taken_in_than_may_be() -> None:
    async with serve(Http(max_in_flight=1), {"contoso": SOURCE}) as bridge:
        first, second = Caller(*await bridge.connect()), Caller(*await bridge.connect())
        assert (await first.ask(request(body(0)))).status == 202
        bridge.shelf.open.clear()
        first.writer.write(request(body(1)))
        await until(lambda: bridge.webhooks.in_flight.count == 1)

        assert (await second.ask(request(body(2)))).status == 503
        bridge.shelf.open.set()
        assert (await read_answer(first.reader)).status == 202


async def test_bytes_behind_a_body_do_not_pass_for_a_boundary(bridge: Bridge, caller: Caller) -> None:
    half = request(body(2))
    first = await caller.ask(request(BODY) + half[:40])
    rest = await caller.ask(half[40:])

    assert [first.status, rest.status] == [202, 202]
    assert [message.entity for message in bridge.shelf.accepted] == ["1000", "7", "1002"]


async def test_a_caller_who_reads_no_answers_is_not_read_either(bridge: Bridge, caller: Caller) -> None:
    asked, (connection,) = 3000, bridge.server.connections
    transport = connection.transport
    assert transport is not None
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client = caller.writer.transport
    assert isinstance(client, asyncio.Transport)
    client.pause_reading()
    caller.writer.write(b"GET /livez HTTP/1.1\r\nHost: bridge\r\n\r\n" * asked)
    await until(lambda: connection.writing_paused)
    for _ in range(100):
        await bridge.ask(b"GET /livez HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n")

    assert transport.get_write_buffer_size() < 68_000  # asyncio's mark of 64 KiB, and one answer
    client.resume_reading()
    assert [(await read_answer(caller.reader)).status for _ in range(asked)] == [200] * asked


async def test_the_short_way_adds_nothing_to_unread_answers(bridge: Bridge, caller: Caller) -> None:
    (connection,) = bridge.server.connections
    connection.pause_writing()
    assert (await caller.ask(request(body(1)))).status == 202
    assert bridge.short == []

    connection.resume_writing()
    assert isinstance(connection, Connection)
    await until(lambda: not connection.busy)
    assert (await caller.ask(request(body(2)))).status == 202
    assert len(bridge.short) == 1
