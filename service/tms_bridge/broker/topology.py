"""Exchanges, queues and bindings: what is configured, what is there, and how to make the two equal."""

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

import msgspec
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity

from tms_bridge.broker.session import Session
from tms_bridge.message import QUARANTINE_EXCHANGE, UNROUTABLE_EXCHANGE
from tms_bridge.settings.model import Amqp, Archive

STEP_TIMEOUT_S: Final = 10.0
"""How long one declaration may take."""

ACCESS_REFUSED: Final = 403
EVERYTHING: Final = "#"

Arguments = tuple[tuple[str, str | int], ...]
QUORUM: Final[Arguments] = (("x-queue-type", "quorum"),)

_SEGMENTS: Final = 20
_MIN_SEGMENT_BYTES: Final = 500_000
_MAX_SEGMENT_BYTES: Final = 100_000_000


class Likeness(enum.StrEnum):
    """How a part of the topology compares with what is configured."""

    RIGHT = "right"
    MISSING = "missing"
    DIFFERENT = "different"
    FORBIDDEN = "forbidden"
    UNKNOWN = "unknown"


class Part(msgspec.Struct, frozen=True):
    """An exchange, a queue or a binding that is configured.

    Attributes:
        name: of the exchange or queue; for a binding, of its queue.
        exchange: a binding's exchange.
        routing_key: a binding's key.
        exchange_type: an exchange's type.
        arguments: a queue's arguments.
    """

    kind: Literal["exchange", "queue", "binding"]
    name: str
    exchange: str = ""
    routing_key: str = ""
    exchange_type: str = ""
    arguments: Arguments = QUORUM

    def __str__(self) -> str:
        if self.kind == "binding":
            return (
                f"binding of queue {self.name} to exchange {self.exchange} by {self.routing_key or '(all)'}"
            )
        return f"{self.kind} {self.name}"


class Finding(msgspec.Struct, frozen=True):
    """One part as it is."""

    part: Part
    state: Likeness
    detail: str = ""

    @property
    def wrong(self) -> bool:
        """Whether somebody must do something about it."""
        return self.state not in (Likeness.RIGHT, Likeness.UNKNOWN)

    def __str__(self) -> str:
        return f"{self.part}: {self.state}{self.detail and ' - '}{self.detail}"


def configured(amqp: Amqp) -> tuple[Part, ...]:
    """Return every part that the configuration asks for, in the order in which they can be declared."""
    parts = [Part("exchange", amqp.exchange, exchange_type="topic")]
    for name in (UNROUTABLE_EXCHANGE, QUARANTINE_EXCHANGE):
        parts += (
            Part("exchange", name, exchange_type="fanout"),
            Part("queue", name),
            Part("binding", name, exchange=name),
        )
    if amqp.archive is not None:
        parts += (
            Part("queue", amqp.archive.name, arguments=_stream(amqp.archive)),
            Part("binding", amqp.archive.name, exchange=amqp.exchange, routing_key=EVERYTHING),
        )
    for queue in amqp.queues:
        parts.append(Part("queue", queue.name))
        parts += (
            Part("binding", queue.name, exchange=amqp.exchange, routing_key=key) for key in queue.bindings
        )
    return tuple(parts)


def _stream(archive: Archive) -> Arguments:
    """Return the arguments of a stream that lets go of events by age and by size.

    RabbitMQ drops whole segments, and never the one that it writes; so they are small beside the whole.
    """
    segment = min(max(archive.max_bytes // _SEGMENTS, _MIN_SEGMENT_BYTES), _MAX_SEGMENT_BYTES)
    return (
        ("x-queue-type", "stream"),
        ("x-max-age", archive.max_age.replace("d", "D")),
        ("x-max-length-bytes", archive.max_bytes),
        ("x-stream-max-segment-size-bytes", segment),
    )


async def apply(session: Session, parts: Sequence[Part]) -> list[Finding]:
    """Declare every part; what cannot be declared is a finding, not an error.

    Raises:
        BrokerError: the connection was lost.
    """
    return await _each(session, parts, _declare)


async def check(session: Session, parts: Sequence[Part]) -> list[Finding]:
    """See whether every exchange and queue is there, without asking for more than that.

    Raises:
        BrokerError: the connection was lost.
    """
    return await _each(session, [part for part in parts if part.kind != "binding"], _declare_passively)


async def show(session: Session, parts: Sequence[Part]) -> list[Finding]:
    """Compare without creating anything; a binding cannot be asked for in AMQP, so it stays unknown.

    Raises:
        BrokerError: the connection was lost.
    """
    findings = await check(session, parts)
    there = [finding.part for finding in findings if not finding.wrong]
    # A passive declaration sees only that the name is there. An equal active one changes nothing; a
    # different one is refused.
    compared = {finding.part: finding for finding in await _each(session, there, _declare)}
    findings = [_merge(finding, compared.get(finding.part)) for finding in findings]
    bindings = [
        Finding(part, Likeness.UNKNOWN, "AMQP cannot query a binding")
        for part in parts
        if part.kind == "binding"
    ]
    return findings + bindings


def _merge(seen: Finding, compared: Finding | None) -> Finding:
    if compared is None:
        return seen
    if compared.state is Likeness.FORBIDDEN:
        return Finding(seen.part, Likeness.UNKNOWN, "it exists; comparing it needs the configure permission")
    return compared


Step = Callable[[AbstractChannel, Part], Awaitable[object]]


async def _each(session: Session, parts: Sequence[Part], step: Step) -> list[Finding]:
    """Try each part on a throw-away channel, which a failure closes."""
    findings = []
    channel: AbstractChannel | None = None
    for part in parts:
        with session.doing(f"declare {part}"):
            async with asyncio.timeout(STEP_TIMEOUT_S):
                if channel is None:
                    channel = await session.channel()
                finding = await _try(session, channel, part, step)
        if finding.state is not Likeness.RIGHT:
            channel = None
        findings.append(finding)
    if channel is not None:
        with session.doing("close a channel"):
            await channel.close()
    return findings


async def _try(session: Session, channel: AbstractChannel, part: Part, step: Step) -> Finding:
    try:
        await step(channel, part)
    except ChannelClosed as failure:
        return Finding(part, _state(session, failure), session.words(failure))
    except ValueError as failure:
        return Finding(part, Likeness.DIFFERENT, f"AMQP allows no such name: {failure}")
    return Finding(part, Likeness.RIGHT)


def _state(session: Session, failure: ChannelClosed) -> Likeness:
    if isinstance(failure, ChannelNotFoundEntity):
        return Likeness.MISSING
    said = session.link.said
    return Likeness.FORBIDDEN if said is not None and said.code == ACCESS_REFUSED else Likeness.DIFFERENT


async def _declare(channel: AbstractChannel, part: Part) -> object:
    if part.kind == "exchange":
        return await channel.declare_exchange(part.name, part.exchange_type, durable=True)
    if part.kind == "queue":
        return await channel.declare_queue(part.name, durable=True, arguments=dict(part.arguments))
    queue = await channel.get_queue(part.name, ensure=False)
    return await queue.bind(part.exchange, part.routing_key)


async def _declare_passively(channel: AbstractChannel, part: Part) -> object:
    if part.kind == "exchange":
        return await channel.declare_exchange(part.name, part.exchange_type, passive=True)
    return await channel.declare_queue(part.name, passive=True)
