"""The engine: entities as tasks, one call at a time for each, retries as TMS makes them.

A ticket starts one event; tickets come at the plan's rate. An entity takes a ticket, sends its next event
with all retries, and only then asks for another, which is how TMS's events of one entity are ordered. While
it waits between two retries it holds no connection.
"""

import asyncio
import contextlib
import hashlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

import aiohttp
import msgspec
from yarl import URL

from tms_bridge.cli.simulate.lives import Event, lives
from tms_bridge.cli.simulate.report import Attempt, Plan, Report, Result, Score

Sleep = Callable[[float], Awaitable[object]]

MOST_DEBT_S = 1.0
"""A sender that fell behind its rate by more than this does not try to catch up."""


class Reply(msgspec.Struct, gc=False):
    """What the simulation reads of a 2xx; of another answer, the problem's `detail` alone."""

    id: str | None = None
    outcome: str | None = None
    routing_key: str | None = None
    durable: str | None = None
    detail: str | None = None


NO_ANSWER = Reply()
ANSWERS = msgspec.json.Decoder(Reply)


async def run(  # noqa: PLR0913 - a plan is enough; the rest is for those who watch
    plan: Plan,
    *,
    on_attempt: Callable[[Attempt], object] = lambda _: None,
    stop: asyncio.Event | None = None,
    tally: Score | None = None,
    places: Sequence[Iterator[Event]] | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Report:
    """Send what the plan says, or until `stop` is set, and return what came of it.

    Args:
        plan: what to send.
        on_attempt: called with each attempt as it ends; must not block.
        stop: set it to end early; events under way are abandoned and count as unfinished.
        tally: counts as it goes, for whoever wants to show progress.
        places: events of each entity, in order; by default the plan's seeded lives.
        sleep: waits; a test gives one that does not.
    """
    tally = tally or Score()
    if places is None:
        places = [lives(plan.seed, n, plan.entities, plain=plan.plain) for n in range(plan.entities)]
    began = time.monotonic()
    async with connect(plan) as session:
        sender = _Sender(plan, session, tally, on_attempt, sleep)
        work = asyncio.create_task(sender.run(places))
        await _finish(work, stop or asyncio.Event())
    return tally.report(time.monotonic() - began)


async def _finish(work: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


def connect(plan: Plan) -> aiohttp.ClientSession:
    """Open the pool of connections that the calls share."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=plan.concurrency, ttl_dns_cache=60),
        headers={"User-Agent": "tms-bridge simulate", "Content-Type": "application/json"} | plan.headers,
        timeout=aiohttp.ClientTimeout(total=plan.timeout_s),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class _Sender:
    """Sends the events of many entities."""

    def __init__(
        self,
        plan: Plan,
        session: aiohttp.ClientSession,
        tally: Score,
        on_attempt: Callable[[Attempt], object],
        sleep: Sleep,
    ) -> None:
        self._plan = plan
        self._session = session
        self._tally = tally
        self._on_attempt = on_attempt
        self._sleep = sleep
        self._slots = asyncio.Semaphore(plan.concurrency)
        self._tickets: asyncio.Queue[int | None] = asyncio.Queue(maxsize=plan.concurrency)
        self._urls: Mapping[str, URL] = {
            trigger: URL(plan.webhook(trigger)) for trigger in ("class", "course_assignment")
        }

    async def run(self, places: Sequence[Iterator[Event]]) -> None:
        """Send until the plan is done and every event under way has ended."""
        async with asyncio.TaskGroup() as group:
            entities = [group.create_task(self._live(place)) for place in places]
            pacer = group.create_task(self._pace())
            await asyncio.wait(entities)
            pacer.cancel()

    async def _pace(self) -> None:
        """Hand out tickets at the plan's rate, then tell every entity that there are no more."""
        async for number in self._due():
            await self._tickets.put(number)
        while True:
            await self._tickets.put(None)

    async def _due(self) -> AsyncIterator[int]:
        plan = self._plan
        ends_at = time.monotonic() + plan.duration_s if plan.duration_s is not None else None
        due_at = time.monotonic()
        for number in itertools.count(1):
            if plan.rate:
                due_at = await self._until(due_at) + 1 / plan.rate
            if ends_at is not None and time.monotonic() >= ends_at:
                return
            yield number
            if number == plan.count:
                return

    async def _until(self, due_at: float) -> float:
        now = time.monotonic()
        if due_at > now:
            await self._sleep(due_at - now)
        return max(due_at, now - MOST_DEBT_S)

    async def _live(self, place: Iterator[Event]) -> None:
        for event in place:
            number = await self._tickets.get()
            if number is None:
                return
            self._tally.sent += 1
            await self._send(number, event)

    async def _send(self, number: int, event: Event) -> None:
        """Call until it is accepted or TMS would give up."""
        digest = event_digest(self._plan.source, event)
        if self._plan.delay_s:
            await self._sleep(self._plan.delay_s)
        for attempt in range(1, self._plan.max_retries + 2):
            done = await self._attempt(number, event, digest, attempt)
            self._tally.add(done)
            self._on_attempt(done)
            if done.result != "retry":
                return
            await self._sleep(attempt)  # TMS waits 1 s before the first retry, 5 s before the fifth

    async def _attempt(self, number: int, event: Event, digest: str, attempt: int) -> Attempt:
        async with self._slots:
            sent_at, began = time.time(), time.perf_counter()
            http_status, error, answer = await self._call(event)
            answered_at = sent_at + time.perf_counter() - began
        return Attempt(
            event=number,
            trigger=event.trigger,
            status=event.status,
            entity=event.entity,
            step=event.step,
            marker=event.marker,
            digest=digest,
            attempt=attempt,
            sent_at=sent_at,
            answered_at=answered_at,
            http_status=http_status,
            error=error,
            result=self._result(http_status, attempt),
            **msgspec.structs.asdict(answer),
        )

    def _result(self, http_status: int | None, attempt: int) -> Result:
        if http_status is not None and 200 <= http_status < 300:  # noqa: PLR2004 - a 2xx is success
            return "accepted"
        return "retry" if attempt <= self._plan.max_retries else "given_up"

    async def _call(self, event: Event) -> tuple[int | None, str | None, Reply]:
        url = self._urls[event.trigger]
        try:
            async with self._session.post(url, data=event.body, allow_redirects=False) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return None, type(error).__name__, NO_ANSWER
        return response.status, None, decode(response.status, body)


def decode(http_status: int, body: bytes) -> Reply:
    """Read what the bridge says of an event, or why it refuses it; another receiver may say nothing."""
    try:
        answer = ANSWERS.decode(body)
    except (msgspec.DecodeError, ValueError):
        return NO_ANSWER
    if http_status >= 300:  # noqa: PLR2004 - a problem, not an answer
        return Reply(detail=answer.detail)
    return answer


def event_digest(source: str, event: Event) -> str:
    """Return the digest that the bridge will give this body."""
    head = f"{source}\0{event.trigger}\0".encode()
    return hashlib.blake2b(head + event.body, digest_size=32).hexdigest()
