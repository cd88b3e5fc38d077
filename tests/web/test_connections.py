"""What a connection may cost before it has proved itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.waiting import patience, until
from tests.web.running import SOURCE, Bridge, read_answer, request, serve

from tms_bridge.http.connections import Connections, limits_of
from tms_bridge.settings.model import Http


@asynccontextmanager
async def bridge_with(**limits: object) -> AsyncIterator[Bridge]:
    async with serve(Http(**limits), {"contoso": SOURCE}) as bridge:  # type: ignore[arg-type]  # what a test limits
        yield bridge


def ended(reader: asyncio.StreamReader) -> bool:
    return reader.at_eof() or reader.exception() is not None


def head(*, size: int, line: int) -> bytes:
    """Return a whole head of so many bytes, in headers that are no longer than a line."""
    start, end = b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"\r\n"
    left = size - len(start) - len(end)
    lines = b""
    while left - len(lines) > line + 100:
        lines += b"X: " + b"x" * (line - 5) + b"\r\n"
    return start + lines + b"X: " + b"x" * (left - len(lines) - 5) + b"\r\n" + end


@pytest.mark.parametrize("line", [300, 7000, 32_000])
@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 431)])
async def test_a_head_may_have_so_many_bytes_in_lines_of_any_length(
    line: int, over: int, status: int
) -> None:
    async with bridge_with() as bridge:
        answer = await bridge.ask(head(size=32_768 + over, line=line))

    assert status == answer.status
    if over:
        assert "urn:tms-bridge:problem:head-too-large" == answer.json["type"]
        assert "32768 bytes (http.max_head_bytes)" in str(answer.json["detail"])
        assert 1 == bridge.refused("max_head_bytes")


async def test_a_head_in_many_small_pieces_is_counted_too() -> None:
    async with bridge_with(max_head_bytes=1024) as bridge:
        reader, writer = await bridge.connect()
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        for _ in range(12):
            writer.write(b"X: " + b"x" * 95 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)
        answer = await read_answer(reader)

    assert 431 == answer.status


async def test_a_head_of_too_many_headers_is_refused_as_too_large() -> None:
    async with bridge_with() as bridge:
        answer = await bridge.ask(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n")

    assert 431 == answer.status
    assert "128 headers" in str(answer.json["detail"])


async def test_the_bytes_of_a_body_are_none_of_a_head() -> None:
    async with bridge_with(max_head_bytes=1024) as bridge:
        answer = await bridge.post(b'{"Id": 7, "ConfirmationStatusId": 7, "Note": "' + b"x" * 50_000 + b'"}')

    assert 202 == answer.status


async def test_a_head_that_is_not_complete_in_time_is_answered_408() -> None:
    async with bridge_with(head_timeout_s=0.3) as bridge:
        reader, writer = await bridge.connect()
        writer.write(request()[:60])
        answer = await read_answer(reader)
        rest = await reader.read()

    assert (408, b"") == (answer.status, rest)
    assert "urn:tms-bridge:problem:head-timeout" == answer.json["type"]
    assert 1 == bridge.refused("head_timeout")
    assert 1 == bridge.count("head_timeout", "unknown", "unknown")


async def test_a_trickle_does_not_stretch_the_time_for_a_head() -> None:
    async with bridge_with(head_timeout_s=0.5) as bridge:
        _, writer = await bridge.connect()
        writer.write(b"GET /livez HTTP/1.1\r\n")
        async with patience():
            # What trickles in after the close resets the connection, and may overtake the answer.
            while not bridge.count("head_timeout", "unknown", "unknown"):
                writer.write(b"X")
                await asyncio.sleep(0.02)

    assert 1 == bridge.count("head_timeout", "unknown", "unknown")


async def test_a_quiet_connection_is_closed_after_its_idle_time() -> None:
    async with bridge_with(idle_timeout_s=0.4) as bridge:
        reader, writer = await bridge.connect()
        writer.write(request())
        answer = await read_answer(reader)
        rest = await reader.read()

    assert (202, b"") == (answer.status, rest)


async def test_a_proxy_header_has_the_time_of_a_head() -> None:
    http = {"client_address": "proxy-protocol", "trusted_proxies": ("127.0.0.1",), "head_timeout_s": 0.3}
    async with bridge_with(**http) as bridge:
        reader, writer = await bridge.connect()
        writer.write(b"PROXY TCP4 192.0.2.1")
        answer = await read_answer(reader)

    assert 408 == answer.status


def shrink(connection: socket.socket) -> None:
    """Let the kernel keep little for a connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


async def test_who_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tms_bridge.http.server.WRITE_TIMEOUT_S", 0.3)
    async with bridge_with() as bridge:
        _, writer = await bridge.connect()
        shrink(writer.get_extra_info("socket"))
        await until(lambda: len(bridge.server.connections) == 1)
        transport = bridge.server.connections[0].transport
        assert transport is not None
        shrink(transport.get_extra_info("socket"))
        writer.write(request() + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
        await until(lambda: bridge.refused("write_timeout") == 1)
        await until(lambda: not bridge.server.connections)


async def test_who_asks_on_before_the_answer_and_has_proved_nothing_gets_one() -> None:
    async with bridge_with() as bridge:
        reader, writer = await bridge.connect()
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        answer, rest = await read_answer(reader), await reader.read()
        proved, writer = await bridge.connect()
        writer.write(request() + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        statuses = [(await read_answer(proved)).status for _ in range(51)]

    assert (200, "close", b"") == (answer.status, answer.headers["connection"], rest)
    assert [202, *[200] * 50] == statuses


async def test_the_longest_idle_that_has_not_proved_itself_gives_way_first() -> None:
    async with bridge_with(max_connections=3) as bridge:
        proved, writer = await bridge.connect()
        writer.write(request())
        assert 202 == (await read_answer(proved)).status
        silent = [(await bridge.connect())[0] for _ in range(2)]
        newer = [(await bridge.connect())[0] for _ in range(2)]
        await until(lambda: all(map(ended, silent)))
        again, _ = await bridge.connect()
        await until(lambda: ended(newer[0]))
        writer.write(request(b'{"Id": 8, "ConfirmationStatusId": 7}'))
        answer = await read_answer(proved)
        stayed = not ended(again)

    assert (202, True) == (answer.status, stayed)
    assert 3 == bridge.refused("max_connections")


async def test_an_idle_one_that_has_proved_itself_gives_way_last() -> None:
    async with bridge_with(max_connections=2) as bridge:
        callers = [await bridge.connect() for _ in range(2)]
        for number, (reader, writer) in enumerate(callers):
            writer.write(request(b'{"Id": %d, "ConfirmationStatusId": 7}' % number))
            assert 202 == (await read_answer(reader)).status
        answer = await bridge.ask(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: ended(callers[0][0]))
        stayed = not ended(callers[1][0])

    assert (200, True) == (answer.status, stayed)


async def test_one_peer_has_its_own_limit_and_a_trusted_proxy_none() -> None:
    async with bridge_with(max_connections_per_peer=2) as bridge:
        first, _ = await bridge.connect()
        await bridge.connect()
        await bridge.connect()
        await until(lambda: ended(first))
        refused = bridge.refused("max_connections_per_peer")
    proxied = {"client_address": "x-forwarded-for", "trusted_proxies": ("127.0.0.1",)}
    async with bridge_with(max_connections_per_peer=2, **proxied) as bridge:
        for _ in range(5):
            await bridge.connect()
        answer = await bridge.ask(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        none = bridge.refused("max_connections_per_peer")

    assert (1, 200, 0) == (refused, answer.status, none)


async def test_open_connections_are_counted_and_leave_the_count() -> None:
    async with bridge_with() as bridge:
        _, writer = await bridge.connect()

        def count() -> float | None:
            return bridge.metrics.registry.get_sample_value("tms_bridge_connections", {"listener": "http"})

        await until(lambda: count() == 1)
        writer.close()
        await until(lambda: count() == 0)


async def test_a_connection_that_has_lived_long_ends_with_its_next_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tms_bridge.http.server.MAX_LIFE_S", -1.0)
    async with bridge_with() as bridge:
        reader, writer = await bridge.connect()
        writer.write(request())
        answer = await read_answer(reader)
        rest = await reader.read()

    assert (202, "close", b"") == (answer.status, answer.headers["connection"], rest)


async def test_descriptors_bound_what_is_configured() -> None:
    many = limits_of(Http(max_connections=10**9)).max_connections
    few = limits_of(Http(max_connections=5)).max_connections

    assert many == limits_of(Http()).max_connections
    assert 5 == few


async def test_an_ipv6_caller_counts_for_its_network() -> None:
    connections = Connections(limits_of(Http()), "http")
    assert connections._peer_of("2001:db8::1") == connections._peer_of("2001:db8::2")
    assert connections._peer_of("2001:db8::1") != connections._peer_of("2001:db8:0:1::1")
