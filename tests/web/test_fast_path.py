"""Requests whose heads are known, and what keeps others from passing for one of them."""

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.waiting import until
from tests.web.running import BODY, SOURCE, Answered, Bridge, read_answer, request, serve

from tms_bridge.errors import Unavailable
from tms_bridge.http.server import Connection
from tms_bridge.settings.model import Http
from tms_bridge.web import Routes, deadlines, fast_path


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
    """A caller whose head, with a body of this length, the bridge has seen."""
    caller = Caller(*await bridge.connect())
    assert (await caller.ask(request(body(0)))).status == 202
    assert bridge.shelf.fast == []
    yield caller
    caller.writer.close()


async def test_a_head_that_was_let_in_once_takes_the_fast_path(bridge: Bridge, caller: Caller) -> None:
    first = await caller.ask(request(body(1)))
    second = await caller.ask(request(body(2)))

    assert [first.status, second.status] == [202, 202]
    assert [message.entity for message in bridge.shelf.fast] == ["1001", "1002"]
    assert second.json == {
        "id": bridge.shelf.fast[1].id,
        "outcome": "accepted",
        "routing_key": "tms.class.completed",
        "durable": "outbox",
    }
    assert bridge.shelf.answered == [1, 2, 3]


async def test_it_is_logged_and_counted_like_any_other(bridge: Bridge, caller: Caller) -> None:
    answer = await caller.ask(request(body(1)))
    by_aiohttp, by_fast_path = bridge.lines.of("webhook")

    assert bridge.count("accepted") == 2
    assert by_fast_path["request_id"] == answer.headers["x-request-id"]
    assert by_fast_path["id"] == answer.json["id"]
    varying = {"timestamp", "id", "request_id", "duration_ms"}
    assert {key: by_aiohttp[key] for key in by_aiohttp.keys() - varying} == {
        key: by_fast_path[key] for key in by_fast_path.keys() - varying
    }
    assert bridge.shelf.fast[0].traceparent.split("-")[2] == by_fast_path["request_id"]


@pytest.mark.usefixtures("caller")
async def test_another_connection_from_the_same_address_may_use_it(bridge: Bridge) -> None:
    assert (await bridge.ask(request(body(1)))).status == 202
    assert len(bridge.shelf.fast) == 1


@pytest.mark.parametrize(
    "head",
    [
        {"Authorization": "Basic V2ViaG9va3VzZXI6d2ViaG9va3Bhc3N3b3Jl"},
        {"Authorization": ""},
        {"Authorization": "", "X_Api_Key": "nonsense"},
    ],
)
async def test_one_other_byte_in_the_head_is_judged_anew(
    bridge: Bridge, caller: Caller, head: dict[str, str]
) -> None:
    answer = await caller.ask(request(body(1), **head))

    assert (answer.status, bridge.shelf.fast) == (401, [])


async def test_one_connection_of_a_proxy_lets_in_only_those_who_are_listed() -> None:
    http = Http(client_address="x-forwarded-for", trusted_proxies=("127.0.0.1",))
    listed = msgspec.structs.replace(SOURCE, allow_from=("203.0.113.7",))
    async with serve(http, {"contoso": listed}) as bridge:
        proxy = Caller(*await bridge.connect())
        told = [
            (await proxy.ask(request(body(number), X_Forwarded_For=client))).status
            for number, client in enumerate(["203.0.113.7", "203.0.113.7", "203.0.113.8"])
        ]

        assert told == [202, 202, 403]
        assert [message.entity for message in bridge.shelf.fast] == ["1001"]


async def test_a_reload_judges_known_heads_anew(bridge: Bridge, caller: Caller) -> None:
    elsewhere = msgspec.structs.replace(SOURCE, allow_from=("192.0.2.1",))
    bridge.webhooks.take_over(Routes(Http(), {"contoso": elsewhere}))

    assert (await caller.ask(request(body(1)))).status == 403


async def test_a_head_that_was_let_in_before_a_reload_is_not_learned_after_it(bridge: Bridge) -> None:
    bridge.shelf.open.clear()
    caller = Caller(*await bridge.connect())
    caller.writer.write(request(body(1)))
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    elsewhere = msgspec.structs.replace(SOURCE, allow_from=("192.0.2.1",))
    bridge.webhooks.take_over(Routes(Http(), {"contoso": elsewhere}))
    bridge.shelf.open.set()
    assert (await read_answer(caller.reader)).status == 202

    assert (await caller.ask(request(body(2)))).status == 403


@pytest.mark.parametrize(
    "head",
    [
        {"Expect": "100-continue"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"X_Request_Id": "7"},
        {"Connection": "close"},
        {"X_Padding": "x" * fast_path._MAX_HEAD_BYTES},
    ],
)
async def test_a_head_out_of_the_ordinary_is_never_known(bridge: Bridge, head: dict[str, str]) -> None:
    for number in range(2):
        answer = await bridge.ask(request(body(number), **head))
        assert answer.status in {100, 202}
    await until(lambda: len(bridge.shelf.accepted) == 2)
    assert bridge.shelf.fast == []


async def test_a_chunked_body_is_never_known(bridge: Bridge) -> None:
    raw = request(b"", Content_Length="", Transfer_Encoding="chunked") + b"%x\r\n%b\r\n0\r\n\r\n"
    caller = Caller(*await bridge.connect())
    for number in range(2):
        assert (await caller.ask(raw % (len(body(number)), body(number)))).status == 202
    assert (bridge.shelf.fast, len(bridge.shelf.accepted)) == ([], 2)


async def test_a_body_that_comes_in_parts_goes_the_long_way_and_the_next_does_not(
    bridge: Bridge, caller: Caller
) -> None:
    raw = request(body(1))
    assert (await caller.ask(raw[:-10], raw[-10:])).status == 202
    assert bridge.shelf.fast == []
    assert (await caller.ask(request(body(2)))).status == 202
    assert [message.entity for message in bridge.shelf.fast] == ["1002"]


async def test_a_head_that_comes_in_parts_is_answered(bridge: Bridge, caller: Caller) -> None:
    raw = request(body(1))
    assert (await caller.ask(raw[:30], raw[30:])).status == 202
    assert (await caller.ask(request(body(2)))).status == 202
    assert [message.entity for message in bridge.shelf.accepted] == ["1000", "1001", "1002"]


async def test_pipelined_requests_are_answered_in_order(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.open.clear()
    caller.writer.write(request(body(1)))
    await until(lambda: len(bridge.shelf.fast) == 1)
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
    await until(lambda: len(bridge.shelf.fast) == 1)
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


async def test_a_retry_is_recognised_as_by_the_long_way(bridge: Bridge, caller: Caller) -> None:
    first = await caller.ask(request(body(1)))
    bridge.shelf.unanswered(bridge.shelf.unanswered_receipt(bridge.shelf.fast[0], seq=2))
    again = await caller.ask(request(body(1)))

    assert (again.json["outcome"], again.json["id"]) == ("duplicate", first.json["id"])
    assert len(bridge.shelf.fast) == 1


async def test_an_undecodable_body_is_quarantined_once(bridge: Bridge, caller: Caller) -> None:
    answer = await caller.ask(request(b"x" * len(body(0))))

    assert (answer.status, len(bridge.shelf.quarantined), bridge.shelf.fast) == (422, 1, [])


async def test_a_full_outbox_is_answered_503(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.full = bridge.shelf.failure = Unavailable("the outbox is full")
    answer = await caller.ask(request(body(1)))

    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert bridge.count("unavailable") == 1


async def test_what_did_not_become_durable_is_answered_503(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.failure = Unavailable("the outbox broke")
    answer = await caller.ask(request(body(1)))

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert len(bridge.shelf.fast) == 1
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
    await until(lambda: len(bridge.shelf.fast) == 1)
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

        assert (answer.status, answer.json["detail"]) == (503, deadlines.TOO_LATE)
        assert await caller.gone()
        bridge.shelf.open.set()
        await until(lambda: bridge.shelf.taken_back == [2])


async def test_a_stopping_bridge_closes_after_the_answer(bridge: Bridge, caller: Caller) -> None:
    bridge.shelf.open.clear()
    caller.writer.write(request(body(1)))
    await until(lambda: len(bridge.shelf.fast) == 1)
    bridge.health.stopping = True
    bridge.shelf.open.set()
    answer = await read_answer(caller.reader)

    assert (answer.status, answer.headers["connection"]) == (202, "close")
    assert await caller.gone()
    async with asyncio.timeout(5):
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


async def test_memory_for_heads_is_bounded(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "_MAX_HEADS", 2)
    for number in range(3):
        await bridge.ask(request(body(number), X_Number=str(number)))
    await bridge.ask(request(body(9), X_Number="2"))
    await bridge.ask(request(body(8), X_Number="0"))

    assert [message.entity for message in bridge.shelf.fast] == ["1009"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r"])
async def test_a_head_whose_end_others_could_see_elsewhere_is_never_known(
    bridge: Bridge, line_end: bytes
) -> None:
    raw = request(body(1)).replace(b"\r\nHost", line_end + b"Host")
    for _ in range(2):
        answer = await bridge.ask(raw)
        assert answer.status in {202, 400}
    assert bridge.shelf.fast == []


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


async def test_the_fast_path_adds_nothing_to_unread_answers(bridge: Bridge, caller: Caller) -> None:
    (connection,) = bridge.server.connections
    connection.pause_writing()
    assert (await caller.ask(request(body(1)))).status == 202
    assert bridge.shelf.fast == []

    connection.resume_writing()
    await until(lambda: connection._waiter is not None)
    assert (await caller.ask(request(body(2)))).status == 202
    assert [message.entity for message in bridge.shelf.fast] == ["1002"]
