import asyncio
import contextlib

import msgspec
import pytest
from tests.waiting import patience, until
from tests.web.running import BODY, SOURCE, Bridge, read_answer, request, serve

from tms_bridge.settings.model import Http, Source

BIG = "1000000000"
ELSEWHERE = msgspec.structs.replace(SOURCE, allow_from=("192.0.2.1",))
HOLDING = msgspec.structs.replace(ELSEWHERE, on_unlisted_address="hold")


def headers_only(**headers: str) -> bytes:
    """A request whose body is announced and never sent."""
    return request(b"", **{"Content_Length": "500", **headers})


@pytest.mark.parametrize("expect", ["", "100-continue"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic d3Jvbmc6d3Jvbmc="}, 401),
        ({"Authorization": "", "X_Api_Key": "s3cret-kez"}, 401),
        ({"Content_Length": BIG}, 413),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "identity, br"}, 415),
        ({"Content_Length": "", "Transfer_Encoding": "gzip, chunked"}, 415),
    ],
)
async def test_a_refusal_comes_before_the_body_and_closes(
    bridge: Bridge, headers: dict[str, str], status: int, expect: str
) -> None:
    reader, writer = await bridge.connect()
    writer.write(headers_only(Expect=expect, **headers))
    async with patience():
        answer = await read_answer(reader)
        rest = await reader.read()

    assert (answer.status, answer.headers["connection"], rest) == (status, "close", b"")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wrong_address_is_refused_before_the_body() -> None:
    async with serve(Http(), {"contoso": ELSEWHERE}) as bridge:
        answer = await bridge.ask(headers_only(Expect="100-continue"))
        (line,) = bridge.lines.of(UNLISTED_VALID)

        assert (answer.status, answer.headers["connection"]) == (403, "close")
        assert "127.0.0.1" not in str(answer.json["detail"])
        assert (bridge.count(UNLISTED_VALID), line["remote"], line["credential"]) == (1, "127.0.0.1", "2026")
        assert "sources.contoso.allow_from" in str(line["detail"])


UNLISTED_VALID = "unlisted_address_valid_credentials"


async def test_a_wrong_address_with_wrong_credentials_is_an_ordinary_403() -> None:
    async with serve(Http(), {"contoso": ELSEWHERE}) as bridge:
        answer = await bridge.post(Authorization="")

        assert (answer.status, bridge.count("unlisted_address")) == (403, 1)
        assert bridge.lines.of(UNLISTED_VALID) == []


async def test_a_source_may_hold_what_comes_from_a_new_address() -> None:
    async with serve(Http(), {"contoso": HOLDING}) as bridge:
        answer = await bridge.post()

        assert (answer.status, answer.json["outcome"]) == (202, "held")
        assert answer.json["id"] == bridge.shelf.held[0].id
        assert bridge.shelf.held[0].reason == (
            "right credentials from the address 127.0.0.1, which is not listed"
        )
        assert (bridge.count("held"), bridge.count(UNLISTED_VALID), bridge.shelf.accepted) == (1, 1, [])
        assert bridge.lines.of(UNLISTED_VALID)[0]["remote"] == "127.0.0.1"


async def test_holding_is_not_for_wrong_credentials() -> None:
    async with serve(Http(), {"contoso": HOLDING}) as bridge:
        assert ((await bridge.post(Authorization="")).status, bridge.shelf.held) == (403, [])


@pytest.mark.parametrize(
    ("source", "challenge"),
    [
        (SOURCE, 'Basic realm="tms-bridge", charset="UTF-8", Header realm="tms-bridge"'),
        (
            msgspec.structs.replace(SOURCE, credentials=SOURCE.credentials[:1]),
            'Basic realm="tms-bridge", charset="UTF-8"',
        ),
        (msgspec.structs.replace(SOURCE, credentials=SOURCE.credentials[1:]), 'Header realm="tms-bridge"'),
    ],
)
async def test_a_401_says_which_credentials_would_do(source: Source, challenge: str) -> None:
    async with serve(Http(), {"contoso": source}) as bridge:
        answer = await bridge.post(Authorization="nonsense")

        assert (answer.status, answer.headers["www-authenticate"]) == (401, challenge)


async def test_any_of_the_credentials_opens_the_door(bridge: Bridge) -> None:
    answer = await bridge.post(Authorization="", X_Api_Key="s3cret-key")

    assert answer.status == 202
    assert b"s3cret" not in bridge.lines.raw


async def test_a_refusals_log_line_says_what_would_pass_and_no_value(bridge: Bridge) -> None:
    await bridge.post(Authorization="Basic c2VjcmV0OnNlY3JldA==")
    (line,) = bridge.lines.of("webhook")

    assert (line["level"], line["outcome"], line["http_status"]) == ("warning", "unauthorized", 401)
    assert "Authorization came" in str(line["detail"])
    assert b"c2VjcmV0" not in bridge.lines.raw


async def test_continue_is_sent_only_after_the_headers_have_passed(bridge: Bridge) -> None:
    reader, writer = await bridge.connect()
    writer.write(request(b"", Expect="100-Continue", Content_Length=str(len(BODY))))
    interim = await reader.readuntil(b"\r\n\r\n")
    writer.write(BODY)

    assert (interim, (await read_answer(reader)).status) == (b"HTTP/1.1 100 Continue\r\n\r\n", 202)


async def test_http_1_0_gets_no_continue(bridge: Bridge) -> None:
    answer = await bridge.ask(request(Expect="100-continue").replace(b"HTTP/1.1", b"HTTP/1.0"))

    assert answer.status == 202


async def test_an_unknown_expectation_is_417(bridge: Bridge) -> None:
    answer = await bridge.ask(headers_only(Expect="the-spanish-inquisition"))

    assert (answer.status, answer.headers["connection"]) == (417, "close")


async def test_identity_is_no_encoding(bridge: Bridge) -> None:
    assert (await bridge.post(Content_Encoding="Identity")).status == 202


async def test_the_content_type_does_not_matter(bridge: Bridge) -> None:
    assert (await bridge.post(Content_Type="text/x-nonsense")).status == 202


async def test_a_body_of_just_the_limit_is_read(bridge: Bridge) -> None:
    assert (await bridge.post(BODY.ljust(1000))).status == 202


async def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(bridge: Bridge) -> None:
    reader, writer = await bridge.connect()
    writer.write(request(b"", Content_Length="", Transfer_Encoding="chunked"))
    writer.write(b"1f4\r\n" + b" " * 500 + b"\r\n")
    await writer.drain()
    writer.write(b"1f5\r\n" + b" " * 501 + b"\r\n")
    async with patience():
        answer = await read_answer(reader)

    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert bridge.shelf.quarantined == []


async def test_a_whole_chunked_body_over_the_limit_is_refused(bridge: Bridge) -> None:
    chunk = b"3e9\r\n" + b" " * 1001 + b"\r\n0\r\n\r\n"
    answer = await bridge.ask(request(b"", Content_Length="", Transfer_Encoding="chunked") + chunk)

    assert answer.status == 413


async def test_a_body_whose_chunks_cannot_be_read_is_never_taken() -> None:
    async with serve(Http(deadline_s=0.2), {"contoso": SOURCE}) as bridge:
        reader, writer = await bridge.connect()
        writer.write(request(b"", Content_Length="", Transfer_Encoding="chunked") + b"5\r\n12")
        await until(lambda: bridge.webhooks.in_flight.count == 1)
        writer.write(b"345xx\r\n")

        assert (await read_answer(reader)).status in {400, 408}  # aiohttp's parser in Python tells at once
        assert bridge.shelf.quarantined == []


async def test_a_body_that_does_not_come_in_time_is_408() -> None:
    async with serve(Http(deadline_s=0.2), {"contoso": SOURCE}) as bridge:
        reader, writer = await bridge.connect()
        started = asyncio.get_running_loop().time()
        writer.write(headers_only() + b"{")
        answer = await read_answer(reader)
        seconds = asyncio.get_running_loop().time() - started

        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert (seconds > 0.15, bridge.count("timeout")) == (True, 1)


async def test_a_dripping_body_does_not_put_the_deadline_off() -> None:
    async with serve(Http(deadline_s=0.2), {"contoso": SOURCE}) as bridge:
        reader, writer = await bridge.connect()
        writer.write(headers_only())
        answering = asyncio.create_task(read_answer(reader))
        while not answering.done():
            writer.write(b" ")
            await asyncio.wait({answering}, timeout=0.03)

        assert answering.result().status == 408


async def test_a_refused_sender_can_read_the_answer_while_it_still_sends(bridge: Bridge) -> None:
    reader, writer = await bridge.connect()
    writer.write(request(b" " * 300_000, Authorization=""))
    answer = await read_answer(reader)

    assert (answer.status, await reader.read()) == (401, b"")


async def test_a_refused_body_is_not_drained(bridge: Bridge) -> None:
    reader, writer = await bridge.connect()
    writer.write(headers_only(Authorization="", Content_Length=BIG))
    await read_answer(reader)
    async with patience():
        sent = await send_until_reset(writer)

    # What the kernel's buffers take, and no more.
    assert sent < 32_000_000


async def send_until_reset(writer: asyncio.StreamWriter) -> int:
    sent = 0
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()
            sent += 65_536
    return sent


async def test_a_sender_that_leaves_within_its_body_is_no_error(bridge: Bridge) -> None:
    _, writer = await bridge.connect()
    writer.write(headers_only())
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    writer.close()
    await until(lambda: bridge.count("aborted") == 1)

    assert (bridge.shelf.accepted, bridge.lines.of("defect")) == ([], [])


async def test_what_was_not_answered_is_recognised_when_it_comes_again(bridge: Bridge) -> None:
    bridge.shelf.open.clear()
    _, writer = await bridge.connect()
    writer.write(request())
    await until(lambda: bridge.webhooks.in_flight.count == 1)
    writer.close()
    await until(lambda: all(connection.transport is None for connection in bridge.server.connections))
    bridge.shelf.open.set()
    await until(lambda: bridge.count("accepted") == 1)
    answer = await bridge.post()

    assert (answer.json["outcome"], answer.json["id"]) == ("duplicate", bridge.shelf.accepted[0].id)
    assert (len(bridge.shelf.accepted), bridge.shelf.taken_back) == (1, [1])
    assert bridge.lines.of("webhook")[0]["answered"] is False
