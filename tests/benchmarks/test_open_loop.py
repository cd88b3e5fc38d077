import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from open_loop import keep_rate, requests_of
from wrk import LoadFailedError, Target

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


class Receiver(asyncio.Protocol):
    """Answers each request; the hundredth one after a pause in which nobody is answered."""

    answer = ACCEPTED
    pause_s = 0.0
    seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        type(self).seen += 1
        if self.seen == 100:
            time.sleep(self.pause_s)
        self.transport.write(self.answer)
        if not self.answer:
            self.transport.close()


@contextmanager
def receiving(receiver: type[Receiver]) -> Iterator[Target]:
    started = threading.Event()
    port: list[int] = []

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(receiver, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        started.set()
        async with server:
            await stop.wait()

    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield Target(port[0])
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def test_every_request_is_answered_at_the_rate_that_was_asked() -> None:
    with receiving(type("Quick", (Receiver,), {})) as target:
        load = keep_rate(target, 0.5, rate=400)
    assert (200, 0) == (load.requests, load.refused)
    assert pytest.approx(400) == load.per_second


def test_a_stall_is_charged_for_all_that_it_kept_waiting() -> None:
    with receiving(type("Stalling", (Receiver,), {"pause_s": 0.2})) as target:
        load = keep_rate(target, 0.5, rate=400)
    # 80 of 200 requests were due while nothing was answered; a closed loop would have sent 64.
    assert load.p99_ms > 150
    assert load.p999_ms < 20_000  # milliseconds: the load gives up after ten seconds


def test_a_refusal_is_counted() -> None:
    with receiving(type("Refusing", (Receiver,), {"answer": REFUSED})) as target:
        assert keep_rate(target, 0.1, rate=200).refused == 20


def test_a_lost_connection_ends_the_run() -> None:
    with receiving(type("Hanging", (Receiver,), {"answer": b""})) as target, pytest.raises(LoadFailedError):
        keep_rate(target, 0.1, rate=200)


def test_no_two_webhooks_are_alike() -> None:
    requests = requests_of(Target(1), 3)
    taken = [next(requests) for _ in range(10)]
    assert 10 == len(set(taken))
    assert 3 == len({request.partition(b'"Id":')[2][:7] for request in taken})
