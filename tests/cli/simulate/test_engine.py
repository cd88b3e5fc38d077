import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from tms_bridge.cli.simulate import Attempt, Plan, Report, run

Reply = Callable[[int], web.StreamResponse]
"""Answers the n-th call for one body, n from 1."""


class Receiver:
    """A real server that notes each body, and answers the n-th call for a body as it is told."""

    def __init__(self, reply: Reply) -> None:
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()
        self.headers: dict[str, str] = {}
        self.under_way = 0
        self.most_under_way = 0
        self._reply = reply
        self._calls: defaultdict[bytes, int] = defaultdict(int)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        body = await request.read()
        self.bodies.append(body)
        self.paths.add(request.path)
        self.headers = dict(request.headers)
        self._calls[body] += 1
        await asyncio.sleep(0)
        self.under_way -= 1
        return self._reply(self._calls[body])


class Waits:
    """Notes how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def accepted(_: int) -> web.Response:
    return web.json_response(
        {"id": "1", "outcome": "accepted", "routing_key": "tms.class.denied"}, status=202
    )


def failing(times: int) -> Reply:
    return lambda call: web.Response(status=503) if call <= times else accepted(call)


Simulated = Callable[..., Awaitable[tuple[Report, list[Attempt], Receiver, Waits]]]


@pytest.fixture
def simulated(aiohttp_server: AiohttpServer) -> Simulated:
    """Run a simulation against a receiver that replies so."""

    async def simulate(
        reply: Reply, *, stop: asyncio.Event | None = None, **options: object
    ) -> tuple[Report, list[Attempt], Receiver, Waits]:
        receiver, waits, attempts = Receiver(reply), Waits(), list[Attempt]()
        app = web.Application()
        app.router.add_post("/{path:.*}", receiver.receive)
        server = await aiohttp_server(app)
        plan = msgspec.convert({"url": str(server.make_url("/")), "source": "contoso", **options}, Plan)
        report = await run(plan, on_attempt=attempts.append, sleep=waits, stop=stop)
        return report, attempts, receiver, waits

    return simulate


async def test_every_event_that_is_answered_2xx_is_accepted_at_its_first_call(simulated: Simulated) -> None:
    report, attempts, receiver, waits = await simulated(accepted, count=50)
    assert (50, 50, 0, 0) == (report.sent, report.accepted, report.retried, report.given_up)
    assert {"202": 50} == report.answers
    assert {
        "/webhooks/contoso/class-changed",
        "/webhooks/contoso/course-assignment-changed",
    } == receiver.paths
    assert [] == waits.seconds
    assert {"accepted"} == {attempt.outcome for attempt in attempts}


async def test_an_error_is_retried_after_one_to_five_seconds_with_the_same_body(simulated: Simulated) -> None:
    report, attempts, receiver, waits = await simulated(failing(5), count=1)
    assert [1, 2, 3, 4, 5] == waits.seconds
    assert 1 == len(set(receiver.bodies))
    assert (1, 1, 1, 0, 6) == (report.sent, report.accepted, report.retried, report.given_up, report.calls)
    assert ["retry"] * 5 + ["accepted"] == [attempt.result for attempt in attempts]


async def test_an_event_is_given_up_after_the_last_retry(simulated: Simulated) -> None:
    report, attempts, _, waits = await simulated(failing(9), count=1, max_retries=2)
    assert [1, 2] == waits.seconds
    assert (0, 1) == (report.accepted, report.given_up)
    assert ["retry", "retry", "given_up"] == [attempt.result for attempt in attempts]


async def test_no_retries_are_made_where_none_are_wanted(simulated: Simulated) -> None:
    report, *_ = await simulated(failing(1), count=3, max_retries=0)
    assert (3, 3) == (report.calls, report.given_up)


async def test_a_redirect_is_an_error_as_tms_follows_none(simulated: Simulated) -> None:
    report, *_ = await simulated(lambda _: web.Response(status=302, headers={"Location": "/"}), count=1)
    assert ({"302": 6}, 1) == (report.answers, report.given_up)


async def test_a_call_that_takes_too_long_is_an_error(aiohttp_server: AiohttpServer) -> None:
    never = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/{path:.*}", hang)
    server = await aiohttp_server(app)
    plan = Plan(url=str(server.make_url("/")), source="a", count=1, timeout_s=0.05, max_retries=1)
    report = await run(plan, sleep=Waits())
    never.set()
    assert ({"TimeoutError": 2}, 1) == (report.answers, report.given_up)
    assert None is report.latency


async def test_a_bridge_that_is_not_there_is_retried_like_any_error(unused_tcp_port: int) -> None:
    plan = Plan(url=f"http://127.0.0.1:{unused_tcp_port}", source="contoso", count=1)
    report = await run(plan, sleep=Waits())
    assert (6, 1) == (report.calls, report.given_up)
    assert {"ClientConnectorError": 6} == report.answers


async def test_the_next_event_of_an_entity_goes_out_after_the_answer_to_the_last(
    simulated: Simulated,
) -> None:
    _, attempts, *_ = await simulated(failing(1), count=200, entities=5, concurrency=8)
    last: dict[int, Attempt] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.sent_at):
        before = last.get(attempt.entity)
        if before and before.step != attempt.step:
            assert "accepted" == before.result
            assert before.step + 1 == attempt.step
            assert before.answered_at <= attempt.sent_at
        last[attempt.entity] = attempt


async def test_no_more_requests_are_under_way_than_the_concurrency(simulated: Simulated) -> None:
    _, _, receiver, _ = await simulated(accepted, count=100, entities=50, concurrency=3)
    assert receiver.most_under_way <= 3


async def test_events_begin_at_the_rate(aiohttp_server: AiohttpServer) -> None:
    waits = Waits()
    app = web.Application()
    app.router.add_post("/{path:.*}", Receiver(accepted).receive)
    server = await aiohttp_server(app)
    plan = Plan(url=str(server.make_url("/")), source="a", count=20, rate=0.5, entities=40)
    await run(plan, sleep=waits)
    assert 38 == pytest.approx(max(waits.seconds), abs=10)  # but for what the calls themselves took


async def test_the_delay_comes_before_the_first_call_of_each_event(simulated: Simulated) -> None:
    _, _, _, waits = await simulated(failing(1), count=1, delay_s=7)
    assert [7, 1] == waits.seconds


async def test_a_duration_ends_the_run(simulated: Simulated) -> None:
    report, *_ = await simulated(accepted, duration_s=0.2)
    assert report.sent == report.accepted > 0


async def test_stopping_reports_what_was_done_and_what_was_under_way(simulated: Simulated) -> None:
    stop = asyncio.Event()

    def stop_at_the_second(call: int) -> web.Response:
        if call == 2:
            stop.set()
        return web.Response(status=500)

    report, attempts, *_ = await simulated(stop_at_the_second, stop=stop, count=1)
    assert (1, 0, 0, 1) == (report.sent, report.accepted, report.given_up, report.unfinished)
    assert len(attempts) == report.calls


async def test_the_headers_are_sent_as_given(simulated: Simulated) -> None:
    _, _, receiver, _ = await simulated(accepted, count=1, headers={"X-Api-Key": "secret"})
    assert "secret" == receiver.headers["X-Api-Key"]


async def test_a_record_holds_the_digest_that_the_bridge_gives_the_body(simulated: Simulated) -> None:
    _, attempts, receiver, _ = await simulated(accepted, count=1)
    whole = f"contoso\0{attempts[0].trigger}\0".encode() + receiver.bodies[0]
    assert hashlib.blake2b(whole, digest_size=32).hexdigest() == attempts[0].digest


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b"\xff", b'{"id": 7}'])
async def test_a_2xx_of_another_receiver_is_accepted_whatever_it_says(
    body: bytes, simulated: Simulated
) -> None:
    report, attempts, *_ = await simulated(lambda _: web.Response(body=body), count=1)
    assert (1, None) == (report.accepted, attempts[0].id)
