"""Load at a fixed rate, by the clock: a request is due when it is due, whatever became of those before.

The time of an answer counts from the moment at which its request was due, so that a receiver that stalls is
charged for all that it kept waiting (no coordinated omission). The loop waits with `select`, whose time limit
counts microseconds, where epoll's counts milliseconds; how late requests left is measured too.
"""

import asyncio
import gc
import random
import re
import selectors
from collections import deque
from collections.abc import Iterator

from samples import percentile
from wrk import Load, LoadFailedError, Target

CONNECTIONS = 64
_PATIENCE_S = 10.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ACCEPTED = b"2"


class _Caller(asyncio.Protocol):
    """One kept connection, with one request at a time."""

    def __init__(self, schedule: "_Schedule") -> None:
        self._schedule = schedule
        self._transport: asyncio.Transport
        self._due = 0.0
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._schedule.idle.append(self)

    def send(self, request: bytes, due: float) -> None:
        self._due, self._answer = due, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(_HEAD_END)
        length = _LENGTH.search(head) if end else None
        if end and len(body) >= (int(length[1]) if length else 0):
            self._schedule.answered(self, self._due, accepted=head[9:10] == _ACCEPTED)

    def connection_lost(self, exc: Exception | None) -> None:
        self._schedule.lost(exc)

    def close(self) -> None:
        self._transport.close()


class _Schedule:
    """Requests in the order in which they are due, handed to whichever connection is idle."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._count = count
        self._waiting: deque[tuple[bytes, float]] = deque()
        self.idle: deque[_Caller] = deque()
        self.latencies: list[float] = []
        self.lateness: list[float] = []
        self.refused = 0
        self.done = self._loop.create_future()

    async def run(self, requests: Iterator[bytes], rate: float) -> None:
        start = self._loop.time() + 0.05
        for number in range(self._count):
            due = start + number / rate
            if (wait := due - self._loop.time()) > 0:
                await asyncio.sleep(wait)
            self.lateness.append(self._loop.time() - due)
            self._waiting.append((next(requests), due))
            self._send()
        async with asyncio.timeout(_PATIENCE_S):
            await self.done

    def answered(self, caller: _Caller, due: float, *, accepted: bool) -> None:
        self.latencies.append(self._loop.time() - due)
        self.refused += not accepted
        self.idle.append(caller)
        self._send()
        if len(self.latencies) == self._count and not self.done.done():
            self.done.set_result(None)

    def lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(LoadFailedError(f"a connection was lost: {error}"))

    def _send(self) -> None:
        while self._waiting and self.idle:
            request, due = self._waiting.popleft()
            self.idle.popleft().send(request, due)


def requests_of(target: Target, entities: int) -> Iterator[bytes]:
    """Yield webhooks, no two alike."""
    first = random.randrange(10**14)  # noqa: S311 - only unlike other runs
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {target.authorization}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    )
    for number in range(10**9):
        body = (
            f'{{"Id":{1_000_000 + number % entities},"ExternalId":"{first + number:016}",'
            '"Name":"Azure Administrator","ConfirmationStatusId":0,"CourseId":1024,"OrganizationId":77,'
            f'"TimeZoneId":"Eastern Standard Time","Description":"{"x" * 350}"}}'
        )
        if target.envelope:
            quoted = body.replace('"', '\\"')
            body = (
                '{"properties":{"delivery_mode":2},"routing_key":"tms.class.scheduled",'
                f'"payload_encoding":"string","payload":"{quoted}"}}'
            )
        yield f"{head}{len(body)}\r\n\r\n{body}".encode()


def keep_rate(target: Target, seconds: float, *, rate: float = 1000.0, entities: int = 10_000) -> Load:
    """Send at a fixed rate.

    Raises:
        LoadFailedError: a connection was lost.
        TimeoutError: answers are missing.
    """
    with asyncio.Runner(loop_factory=_precise_loop) as runner:
        return runner.run(_keep_rate(target, rate, round(rate * seconds), entities))


def _precise_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _keep_rate(target: Target, rate: float, count: int, entities: int) -> Load:
    loop = asyncio.get_running_loop()
    schedule = _Schedule(count)
    callers = [
        (await loop.create_connection(lambda: _Caller(schedule), "127.0.0.1", target.port))[1]
        for _ in range(CONNECTIONS)
    ]
    gc.disable()  # a collection here would pass for slowness there
    try:
        await schedule.run(requests_of(target, entities), rate)
    finally:
        gc.enable()
        for caller in callers:
            caller.close()
    ordered = sorted(latency * 1000 for latency in schedule.latencies)
    late_ms = percentile(sorted(schedule.lateness), 0.99) * 1000
    p50, p99, p999 = (percentile(ordered, share) for share in (0.5, 0.99, 0.999))
    return Load(count, count / rate, p50, p99, p999, schedule.refused, late_ms=late_ms)
