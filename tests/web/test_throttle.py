"""What wrong credentials cost, and whom they never cost anything."""

import asyncio

import msgspec
import pytest
from tests.waiting import until
from tests.web.running import AUTHORIZATION, SOURCE, Answered, Bridge, request, serve

from tms_bridge.auth.throttle import ALLOWANCE
from tms_bridge.http.strangers import LINES_PER_ADDRESS
from tms_bridge.settings.model import Http

WRONG = "Basic d3Jvbmc6d3Jvbmc="
PROXIED = Http(client_address="x-forwarded-for", trusted_proxies=("127.0.0.1",))
LISTED = msgspec.structs.replace(SOURCE, allow_from=("192.0.2.0/24",))
HOLDING = msgspec.structs.replace(LISTED, on_unlisted_address="hold")


async def guess(bridge: Bridge, times: int, **headers: str) -> list[Answered]:
    """Show wrong credentials so often, at once, with a body that is announced and never sent."""
    shown = {"Authorization": WRONG, "Content_Length": "500", **headers}
    return await asyncio.gather(*[bridge.ask(request(b"", **shown)) for _ in range(times)])


def statuses(answers: list[Answered]) -> set[int]:
    return {answer.status for answer in answers}


@pytest.mark.parametrize("short_way", [True, False])
async def test_a_guesser_is_told_to_come_back_later(*, short_way: bool) -> None:
    async with serve(Http(), {"contoso": SOURCE}, short_way=short_way) as bridge:
        first = await guess(bridge, ALLOWANCE)
        (answer,) = await guess(bridge, 1)

        assert {401} == statuses(first)
        assert (429, "close") == (answer.status, answer.headers["connection"])
        assert 1 <= int(answer.headers["retry-after"]) <= ALLOWANCE
        assert "urn:tms-bridge:problem:throttled" == answer.json["type"]
        assert 1 == bridge.count("throttled")


async def test_right_credentials_from_the_same_listed_address_are_never_throttled() -> None:
    async with serve(Http(), {"contoso": SOURCE}) as bridge:
        assert 429 in statuses(await guess(bridge, ALLOWANCE + 10))
        assert 202 == (await bridge.post()).status


async def test_behind_a_shared_proxy_only_the_guesser_is_throttled() -> None:
    async with serve(PROXIED, {"contoso": LISTED}) as bridge:
        guesses = await guess(bridge, ALLOWANCE + 10, X_Forwarded_For="203.0.113.9")
        mine = await bridge.post(X_Forwarded_For="192.0.2.7")
        other = await bridge.post(X_Forwarded_For="203.0.113.10", Authorization=WRONG)

        assert {403, 429} == statuses(guesses)
        assert (202, 403) == (mine.status, other.status)


async def test_a_source_that_holds_tells_a_guesser_nothing_about_the_password() -> None:
    async with serve(PROXIED, {"contoso": HOLDING}) as bridge:
        await guess(bridge, ALLOWANCE, X_Forwarded_For="203.0.113.9")
        wrong = await bridge.post(X_Forwarded_For="203.0.113.9", Authorization=WRONG)
        right = await bridge.post(X_Forwarded_For="203.0.113.9")

        assert (429, 429) == (wrong.status, right.status)
        assert set(wrong.headers) == set(right.headers)
        assert {**wrong.json, "request_id": ""} == {**right.json, "request_id": ""}
        assert [] == bridge.shelf.held
        assert 1 == bridge.count("unlisted_address_valid_credentials")


async def test_a_source_that_holds_lets_nobody_guess_more_than_twice() -> None:
    async with serve(PROXIED, {"contoso": HOLDING}) as bridge:
        shown = [WRONG, WRONG[:-2] + "A=", WRONG[:-2] + "Q=", AUTHORIZATION]
        answers = [await bridge.post(X_Forwarded_For="203.0.113.9", Authorization=value) for value in shown]
        elsewhere = await bridge.post(X_Forwarded_For="198.51.100.1")

        assert [403, 403, 429, 429] == [answer.status for answer in answers]
        assert (202, "held") == (elsewhere.status, elsewhere.json["outcome"])


async def test_a_sender_with_one_wrong_password_does_not_shut_the_right_one_out() -> None:
    async with serve(PROXIED, {"contoso": HOLDING}) as bridge:
        wrong = await guess(bridge, 20, X_Forwarded_For="203.0.113.9")
        right = await bridge.post(X_Forwarded_For="203.0.113.9")

        assert {403} == statuses(wrong)
        assert (202, "held") == (right.status, right.json["outcome"])


async def test_a_flood_of_wrong_credentials_writes_few_lines() -> None:
    async with serve(Http(), {"contoso": SOURCE}) as bridge:
        for _ in range(10):
            await guess(bridge, 20)
        await bridge.post()
        await until(lambda: len(bridge.lines.of("webhook")) > LINES_PER_ADDRESS)
        lines = bridge.lines.of("webhook")

        assert ["unauthorized"] * LINES_PER_ADDRESS + ["accepted"] == [line["outcome"] for line in lines]
        assert 200 == bridge.count("unauthorized") + bridge.count("throttled")


async def test_a_malformed_proxy_header_puts_no_prose_where_an_address_stands() -> None:
    http = Http(client_address="proxy-protocol", trusted_proxies=("127.0.0.1",))
    async with serve(http, {"contoso": SOURCE}) as bridge:
        answers = [await bridge.post(), await bridge.ask(b"PROXY TCP4 ::1 ::1 1 2\r\n" + request())]
        lines = bridge.lines.of("webhook")

        assert [403, 400] == [answer.status for answer in answers]
        assert ["127.0.0.1"] * 2 == [line["remote"] for line in lines]
        assert "does not begin with a PROXY protocol header" in str(lines[0]["detail"])


@pytest.mark.parametrize("short_way", [True, False])
async def test_http_1_0_with_a_transfer_encoding_is_refused(*, short_way: bool) -> None:
    raw = request(b"", Content_Length="", Transfer_Encoding="chunked").replace(b"HTTP/1.1", b"HTTP/1.0")
    async with serve(Http(), {"contoso": SOURCE}, short_way=short_way) as bridge:
        answer = await bridge.ask(raw + b"2\r\n{}\r\n0\r\n\r\n")

        assert (400, "close", []) == (answer.status, answer.headers["connection"], bridge.shelf.accepted)
