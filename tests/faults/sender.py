"""Plays TMS from a process of its own: many senders, TMS's retry rule, every answer written down.

    python -m tests.faults.sender PLAN.json

SIGTERM ends it in order: no new event begins, and those under way are sent to their end.
"""

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec
from tests.faults.records import Attempt, EventKind, GivenUp, Log

from tms_bridge.cli.simulate.engine import event_digest
from tms_bridge.cli.simulate.lives import Event, lives

PLACES = 12
"""Entities that one sender looks after side by side."""

MOST_UNDOING_S = 3.0
"""After how long, at most, an administrator makes the same change once more."""

LARGE_BYTES = 6000
"""How much longer than others a large body is."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What to send.

    Attributes:
        attempts: the file of calls; `given_up`: that of events given up.
        senders: how many events are under way at most, undecodable ones not counted.
        rate: events a second, all senders together, while every answer is quick.
        timeout_s: TMS's Timeout Seconds.
        repeats: share of events whose body is sent again as a real event once it is answered.
        undecodable: share of bodies that are no event.
        aborts: share of calls whose connection is closed before the answer, but never an event's last one.
        most_aborts: how many calls of one event that befalls at most. While the bridge is up for ten seconds,
            two calls of an event reach it, and while it is away for ten, only the last one comes after that:
            so nobody but the bridge is to blame for what is given up.
        large: share of bodies that are large.
    """

    url: str
    source: str
    authorization: str
    attempts: str
    given_up: str
    seed: int = 1
    senders: int = 64
    rate: float = 200.0
    timeout_s: float = 10.0
    max_retries: int = 5
    repeats: float = 0.03
    undecodable: float = 0.01
    aborts: float = 0.02
    most_aborts: int = 1
    large: float = 0.01


class Answer(msgspec.Struct):
    """What is read of an answer, be it a 2xx or a problem."""

    id: str | None = None
    outcome: str | None = None
    quarantine_id: str | None = None
    type: str | None = None


_ANSWERS = msgspec.json.Decoder(Answer)


class Sending(msgspec.Struct, frozen=True):
    """One event to send to its end."""

    kind: EventKind
    event: Event
    ordinal: int
    digest: str
    sender: int


class Company:
    """All the senders."""

    def __init__(self, orders: Orders, session: aiohttp.ClientSession, attempts: Log, given_up: Log) -> None:
        self._orders = orders
        self._session = session
        self._attempts = attempts
        self._given_up = given_up
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()

    async def run(self) -> None:
        """Send until `stop`, then to the end of what has begun."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._orders.senders):
                group.create_task(self._work(number, group))

    async def _work(self, number: int, group: asyncio.TaskGroup) -> None:
        orders = self._orders
        rng = random.Random(f"{orders.seed}/{number}")
        first, places = number * PLACES, orders.senders * PLACES
        entities = [_numbered(lives(orders.seed, first + place, places)) for place in range(PLACES)]
        while not await self._pause(rng.expovariate(orders.rate / orders.senders)):
            if rng.random() < orders.undecodable:
                group.create_task(self._send(_undecodable(orders, rng, number), rng))
                continue
            entity = rng.choice(entities)
            sending = _next(orders, rng, entity, number)
            answered = await self._send(sending, rng)
            if answered and rng.random() < orders.repeats:
                # At once, or when the bridge may have been killed since: it must remember that it answered.
                await self._pause(rng.choice((0.0, rng.uniform(0.0, MOST_UNDOING_S))))
                again = msgspec.structs.replace(sending, kind="repeat", ordinal=entity.skip())
                await self._send(again, rng)

    async def _pause(self, seconds: float) -> bool:
        """Wait; true when it is time to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _send(self, sending: Sending, rng: random.Random) -> bool:
        """Call until it is answered 2xx or TMS would give up; true for a 2xx."""
        first_sent_at = time.monotonic()
        aborts_left = self._orders.most_aborts
        for number in range(1, self._orders.max_retries + 2):
            may_abort = aborts_left > 0 and number <= self._orders.max_retries
            aborting = rng.random() < self._orders.aborts and may_abort
            aborts_left -= aborting
            attempt = await self._attempt(sending, number, aborting=aborting)
            self._attempts.write(attempt)
            if attempt.accepted:
                return True
            if number <= self._orders.max_retries:
                await asyncio.sleep(number)  # 1 s before the first retry, 5 s before the fifth
        self._given_up.write(
            GivenUp(
                kind=sending.kind,
                trigger=sending.event.trigger,
                entity=sending.event.entity,
                ordinal=sending.ordinal,
                digest=sending.digest,
                first_sent_at=first_sent_at,
                at=time.monotonic(),
            )
        )
        return False

    async def _attempt(self, sending: Sending, number: int, *, aborting: bool) -> Attempt:
        event = sending.event
        sent_at = time.monotonic()
        code, error, answer = await self._call(event, aborting=aborting)
        return Attempt(
            kind=sending.kind,
            source=self._orders.source,
            trigger=event.trigger,
            entity=event.entity,
            ordinal=sending.ordinal,
            status=event.status,
            digest=sending.digest,
            number=number,
            sent_at=sent_at,
            answered_at=time.monotonic(),
            code=code,
            sender=sending.sender,
            id=answer.quarantine_id or answer.id,
            outcome=answer.outcome,
            error=error or answer.type,
        )

    async def _call(self, event: Event, *, aborting: bool) -> tuple[int | None, str | None, Answer]:
        path = f"/webhooks/{self._orders.source}/{event.trigger.replace('_', '-')}-changed"
        # A few milliseconds: sometimes before the body has gone, sometimes before the answer is read.
        limit = random.uniform(0.0, 0.006) if aborting else None
        try:
            async with asyncio.timeout(limit), self._session.post(path, data=event.body) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return None, "aborted" if aborting else type(error).__name__, Answer()
        return response.status, None, _ANSWERS.decode(body)


class _Numbered:
    """The events of one place, each with the number that it has among its entity's."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._entity = 0
        self._ordinal = 0

    def next(self) -> tuple[Event, int]:
        """Return the next event and its number."""
        event = next(self._events)
        if event.entity != self._entity:
            self._entity, self._ordinal = event.entity, 0
        return event, self.skip()

    def skip(self) -> int:
        """Take a number for one more event of the same entity."""
        self._ordinal += 1
        return self._ordinal


def _numbered(events: Iterator[Event]) -> _Numbered:
    return _Numbered(events)


def _next(orders: Orders, rng: random.Random, entity: _Numbered, sender: int) -> Sending:
    event, ordinal = entity.next()
    if rng.random() < orders.large:
        # Inside the JSON value, so that it is a part of the payload.
        event = msgspec.structs.replace(event, body=b"{" + b" " * LARGE_BYTES + event.body[1:])
    return Sending("event", event, ordinal, event_digest(orders.source, event), sender)


def _undecodable(orders: Orders, rng: random.Random, sender: int) -> Sending:
    marker = f"{orders.seed}-{rng.getrandbits(64):x}"
    body = f'{{"Id": "no number", "Marker": "{marker}"}}'.encode()
    if rng.random() < 0.5:
        body = body[:-1]
    event = Event("class", "unknown", -1 - rng.getrandbits(40), 1, marker, body)
    return Sending("undecodable", event, 1, event_digest(orders.source, event), sender)


async def run(orders: Orders) -> None:
    """Carry out the orders until SIGTERM or SIGINT."""
    session = aiohttp.ClientSession(
        orders.url,
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Authorization": orders.authorization, "Content-Type": "application/json"},
        timeout=aiohttp.ClientTimeout(total=orders.timeout_s),
    )
    async with session:
        with Log(Path(orders.attempts)) as attempts, Log(Path(orders.given_up)) as given_up:
            company = Company(orders, session, attempts, given_up)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, company.stop)
            await company.run()


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Orders)))
