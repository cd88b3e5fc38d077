"""One run: sets up the exchange, the consumer and what is between them, judges, and takes all away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange

from tms_events.topics import EXCHANGE, PREFIX
from tms_events.torture.bench import Bench, NotReadingError
from tms_events.torture.consumer import Consumer
from tms_events.torture.oracle import Finding, judge
from tms_events.torture.ordeals import ORDEALS, Ordeal, every_topic, meaning_of, name_of
from tms_events.torture.record import NUMBER_HEADER, Fall, Record
from tms_events.torture.tap import Tap


class UnfitError(Exception):
    """Nothing can be judged; the text says what is missing, and what to do."""


class Plan(msgspec.Struct, kw_only=True, frozen=True):
    """What to do to whom.

    Attributes:
        command: starts the consumer.
        url: of a virtual host of the run's own.
        seed: of what is left to chance.
        variable: the environment variable in which the consumer looks for the broker's URL.
        exchange: the topic exchange to which it binds.
        prefix: the first word of routing keys.
        limit_s: how long the ordeals may take in all.
        patience_s: how long the consumer may take to settle what is in an ordeal, and the broker to bury it.
        ordeals: those to run, by name; all where it is empty.
        latest: whether only the latest state of each entity counts to this consumer.
        dead_letters: the queue of dead letters, if a policy says it and not the consumer.
    """

    command: Sequence[str]
    url: str
    seed: int
    variable: str = "AMQP_URL"
    exchange: str = EXCHANGE
    prefix: str = PREFIX
    limit_s: float = 60.0
    patience_s: float = 5.0
    ordeals: Sequence[str] = ()
    latest: bool = False
    dead_letters: str | None = None


class Passed(msgspec.Struct, kw_only=True, frozen=True):
    """What was done in one ordeal.

    Attributes:
        name: of the ordeal.
        meaning: what happens in it.
        messages: how many the consumer's queue took.
        duration_s: how long it took.
    """

    name: str
    meaning: str
    messages: int
    duration_s: float


class Verdict(msgspec.Struct, kw_only=True, frozen=True):
    """How a run ended.

    Attributes:
        passed: whether there is nothing to find fault with.
        seed: with which the same ordeals come again.
        queues: what the consumer read.
        ordeals: those that were done, in order.
        findings: what it did wrong.
    """

    passed: bool
    seed: int
    queues: list[str]
    ordeals: list[Passed]
    findings: list[Finding]


def _tell_nobody(_: str) -> None:
    """Say nothing of how far a run has come."""


async def torture(plan: Plan, progress: Callable[[str], None] = _tell_nobody) -> Verdict:
    """Put a consumer through all ordeals, and judge it.

    Args:
        plan: what to do.
        progress: is told the name of each ordeal as it begins.

    Raises:
        UnfitError: there is no broker, no room of its own on it, or no consumer that answers.
    """
    try:
        connection = await aio_pika.connect(plan.url)
    except (OSError, aio_pika.exceptions.AMQPError) as error:
        raise UnfitError(f"no broker at the URL that was given: {error}") from error
    try:
        async with connection, _exchange(connection, plan.exchange) as exchange:
            return await _Run(plan, connection, exchange).verdict(progress)
    except aio_pika.exceptions.AMQPError as error:
        raise UnfitError(f"the broker refuses what a run needs: {error}") from error


@contextlib.asynccontextmanager
async def _exchange(connection: AbstractConnection, name: str) -> AsyncIterator[AbstractExchange]:
    """Declare the exchange for as long as the run takes.

    What a run publishes reaches every queue that is bound. So it takes no exchange that is there already.
    """
    with contextlib.suppress(aio_pika.exceptions.ChannelNotFoundEntity):
        async with connection.channel() as channel:
            await channel.get_exchange(name, ensure=True)
        raise UnfitError(
            f"this virtual host has an exchange {name} already, whose queues would get false "
            "events; give the run one of its own: rabbitmqctl add_vhost torture, "
            "rabbitmqctl set_permissions -p torture USER '.*' '.*' '.*'"
        )
    channel = await connection.channel(on_return_raises=True)
    exchange = await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
    try:
        yield exchange
    finally:
        async with connection.channel() as another:
            await another.exchange_delete(name)


class _Run:
    def __init__(self, plan: Plan, connection: AbstractConnection, exchange: AbstractExchange) -> None:
        self._plan, self._connection, self._exchange = plan, connection, exchange
        self._record = Record()
        self._passed: list[Passed] = []
        self._graves: list[str] = []

    async def verdict(self, progress: Callable[[str], None]) -> Verdict:
        async with Tap(self._plan.url, self._record) as tap:
            consumer = Consumer(self._plan.command, {self._plan.variable: tap.url}, self._record.tell)
            self._record.listen = consumer.listen
            try:
                await self._torture(tap, consumer, progress)
                await self._look_into_graves()
            finally:
                await consumer.close()
                await tap.cut()
                await self._clear(tap)
        streams = [tap.queues.get(queue, {}).get("x-queue-type") == "stream" for queue in tap.read]
        findings = judge(self._record, latest=self._plan.latest, dead_letters=not all(streams))
        return Verdict(
            passed=not findings,
            seed=self._plan.seed,
            queues=[*tap.read],
            ordeals=self._passed,
            findings=findings,
        )

    async def _torture(self, tap: Tap, consumer: Consumer, progress: Callable[[str], None]) -> None:
        channel = await self._connection.channel(on_return_raises=True)
        bench = Bench(
            self._record,
            tap,
            consumer,
            self._exchange,
            channel,
            seed=self._plan.seed,
            prefix=self._plan.prefix,
            patience_s=self._plan.patience_s,
        )
        await self._begin(bench)
        self._graves = await self._dig(tap)
        todo = [
            ordeal
            for ordeal in ORDEALS
            if ordeal is every_topic or not self._plan.ordeals or name_of(ordeal) in self._plan.ordeals
        ]
        done = 0
        try:
            async with asyncio.timeout(self._plan.limit_s):
                for ordeal in todo:
                    progress(name_of(ordeal))
                    await self._do(ordeal, bench)
                    done += 1
        except TimeoutError:
            self._record.give_up(map(name_of, todo[done:]))
        except NotReadingError as error:
            self._record.falls.append(Fall(ordeal=self._record.ordeal, words=str(error)))
            self._record.give_up(map(name_of, todo[done + 1 :]))

    async def _begin(self, bench: Bench) -> None:
        try:
            await bench.start()
        except (OSError, NotReadingError) as error:
            raise UnfitError(
                f"the consumer reads no queue: {error}\nIt must find the broker's URL in "
                f"{self._plan.variable}, declare a queue, and bind it to {self._plan.exchange}"
            ) from error

    async def _do(self, ordeal: Ordeal, bench: Bench) -> None:
        self._record.ordeal, before, begin = name_of(ordeal), len(self._record.sent), time.monotonic()
        await ordeal(bench)
        sent = [one for one in self._record.sent[before:] if one.routed]
        if ordeal is every_topic and not sent:
            raise UnfitError(f"no event reaches its queue: bind it to {self._plan.exchange}")
        if ordeal is every_topic and not self._record.told and any(one.settled == "acked" for one in sent):
            raise UnfitError(
                "the consumer acknowledges events and says nothing; let it write a line to standard output "
                "when an event's effect is on disk, before it acknowledges: "
                '{"handled": "<the event\'s id>"}'
            )
        self._passed.append(
            Passed(
                name=name_of(ordeal),
                meaning=meaning_of(ordeal),
                messages=len(sent),
                duration_s=round(time.monotonic() - begin, 3),
            )
        )

    async def _dig(self, tap: Tap) -> list[str]:
        """Return the queues in which dead letters of the consumer's queues can be found."""
        graves = [self._plan.dead_letters] if self._plan.dead_letters else []
        for arguments in (tap.queues.get(queue, {}) for queue in tap.read):
            exchange = arguments.get("x-dead-letter-exchange")
            key = str(arguments.get("x-dead-letter-routing-key") or "#")
            if exchange == "":
                graves.append(key)
            elif isinstance(exchange, str):
                graves += await self._dig_behind(exchange, key)
        return list(dict.fromkeys(graves))

    async def _dig_behind(self, exchange: str, key: str) -> list[str]:
        channel = await self._connection.channel()
        try:
            grave = await channel.declare_queue(exclusive=True)
            await grave.bind(exchange, key)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return []
        return [grave.name]

    async def _look_into_graves(self) -> None:
        """Note what is in the dead letters, and wait a moment for what must be on its way."""
        deadline = time.monotonic() + self._plan.patience_s
        while self._graves:
            for grave in self._graves:
                with contextlib.suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                    async with self._connection.channel() as channel:
                        await self._exhume(channel, grave)
            waiting = [one for one in self._record.sent if one.settled == "rejected" and not one.buried]
            if not waiting or time.monotonic() > deadline:
                return
            await asyncio.sleep(0.1)

    async def _exhume(self, channel: AbstractChannel, grave: str) -> None:
        queue = await channel.declare_queue(grave, passive=True)
        while letter := await queue.get(no_ack=True, fail=False):
            number = letter.headers.get(NUMBER_HEADER)
            if isinstance(number, int) and number < len(self._record.sent):
                self._record.sent[number].buried = True

    async def _clear(self, tap: Tap) -> None:
        """Delete the queues that the consumer has declared."""
        for queue in tap.queues:
            async with self._connection.channel() as channel:
                await channel.queue_delete(queue)
