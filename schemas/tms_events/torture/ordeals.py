"""What may befall a consumer, one function each; docs/reliability.md says why it may.

The first line of each docstring is what the report shows. An ordeal waits until the consumer is through
before it ends, so that what goes wrong is known to be its doing.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from tms_events.decoding import encode
from tms_events.event import entity_id
from tms_events.testing import POISON, Trigger
from tms_events.topics import STATUSES
from tms_events.torture.bench import Bench
from tms_events.trigger import Trigger as Triggers

Ordeal = Callable[[Bench], Awaitable[None]]

SILENCE_S = 1.0
LARGE_BYTES = 256 * 1024
POISONS = (POISON, b"", b"\xff\xfe\x00", b"[]", b'{"trigger": "class"}')
"""No JSON, nothing, no text, no object, and no event."""

LATER_WORD = "archived"
"""A status that no version knows yet."""

_BURST = 10


async def every_topic(bench: Bench) -> None:
    """One event of each routing key."""
    triggers: tuple[Trigger, ...] = ("course_assignment", "class")
    for trigger in triggers:
        bound = list[str]()
        for status in STATUSES[Triggers(trigger)]:
            sent = await bench.send(bench.event(trigger, status, bench.entity()))
            bound += [str(status)] if sent.routed else []
        if bound:
            bench.bound[trigger] = bound
    await bench.settle()


async def copies(bench: Bench) -> None:
    """Each event twice at once, and once more when newer ones of its entity were dealt with."""
    for trigger in bench.bound:
        history = bench.history(trigger)
        for event in history:
            await bench.send(event)
            await bench.send(event)
        await bench.settle()
        for event in history:
            await bench.send(event)
        await bench.settle()


async def equal_bodies(bench: Bench) -> None:
    """A change, another one, and the first again: its body is equal, and it is an event of its own."""
    for trigger in bench.bound:
        first, *others = bench.history(trigger, most=2)
        again = bench.event(trigger, first.status, entity_id(first))
        for event in (first, *others, again) if others else ():
            await bench.send(event)
        await bench.settle()


async def second_id(bench: Bench) -> None:
    """One body as two events with two ids, since TMS tried again at another replica."""
    for trigger in bench.bound:
        event = bench.history(trigger, most=1)[0]
        await bench.send(event)
        await bench.send(bench.event(trigger, event.status, entity_id(event)), optional=True)
        await bench.settle()


async def late(bench: Bench) -> None:
    """A newer event of an entity first, and an older one after it."""
    for trigger in bench.bound:
        for event in reversed(bench.history(trigger, most=3)):
            await bench.send(event)
            await bench.settle()


async def unknown_status(bench: Bench) -> None:
    """A status that TMS is the first to say, and one that only a later version of the bridge knows."""
    for trigger in bench.bound:
        if "unknown" in bench.bound[trigger]:
            await bench.send(bench.event(trigger, "unknown", bench.entity(), raw_status=LATER_WORD))
            await bench.settle()
        event = bench.event(trigger, LATER_WORD, bench.entity())
        await bench.send(event, status=LATER_WORD)
        await bench.settle()


async def unknown_members(bench: Bench) -> None:
    """Members that a later version adds, in the event and in its class or course assignment."""
    for trigger in bench.bound:
        event = bench.history(trigger, most=1)[0]
        members: dict[str, object] = msgspec.json.decode(encode(event))
        entity = members[trigger]
        later = {"region": "EMEA", "tags": [{"name": None}], "version": 2}
        grown = {**(entity if isinstance(entity, dict) else {}), **later}
        await bench.send(event, body=msgspec.json.encode({**members, **later, trigger: grown}))
        await bench.settle()


async def poison(bench: Bench) -> None:
    """Bodies that are no event, and an event after each."""
    for trigger in bench.bound:
        for body in POISONS:
            await bench.send_poison(body, trigger)
            await bench.send(bench.history(trigger, most=1)[0])
            await bench.settle()


async def large(bench: Bench) -> None:
    """An event as large as they come: its text stands in the payload and in the member that was read."""
    for trigger in bench.bound:
        text = "ä" * (LARGE_BYTES // 2)
        event = bench.history(trigger, most=1)[0]
        members = {"description": text} if trigger == "class" else {"external_id": text}
        await bench.send(bench.event(trigger, event.status, bench.entity(), **members))
        await bench.settle()


async def replay(bench: Bench) -> None:
    """What was handled comes again as an operator's replay, and with it an event that never came."""
    for trigger in bench.bound:
        known = [
            sent.event
            for sent in bench.record.sent
            if sent.event is not None and sent.event.trigger == trigger and sent.routed and not sent.optional
        ]
        for event in bench.random.sample(known, min(_BURST, len(known))):
            await bench.send(event, replayed=True, optional=True)
        # As `tms-bridge replay` does: into the queue alone, under its name. Of several we do not know which.
        queue = next(iter(bench.tap.read)) if len(bench.tap.read) == 1 else None
        await bench.send(bench.history(trigger, most=1)[0], replayed=True, queue=queue)
        await bench.settle()


async def silence(bench: Bench) -> None:
    """For a second nothing comes and nothing goes, with events on their way."""
    with bench.tap.silent():
        for trigger in bench.bound:
            for event in bench.history(trigger):
                await bench.send(event)
        await asyncio.sleep(SILENCE_S)
    await bench.settle()


async def kill_before_ack(bench: Bench) -> None:
    """Killed when it had handled an event, and before the broker heard of it."""
    for trigger in bench.bound:
        event = bench.history(trigger, most=1)[0]
        async with bench.held():
            await bench.send(event)
            await bench.told(event)
        await bench.start()
        await bench.settle()


async def kill_in_hand(bench: Bench) -> None:
    """Killed with events in hand."""
    events = [event for trigger in bench.bound for _ in range(_BURST) for event in bench.history(trigger)]
    with bench.tap.silent():
        for event in events:
            await bench.send(event)
    await bench.some_settled(bench.random.randint(1, _BURST))
    await bench.kill()
    await bench.start()
    await bench.settle()


ORDEALS: tuple[Ordeal, ...] = (
    every_topic,
    copies,
    equal_bodies,
    second_id,
    late,
    unknown_status,
    unknown_members,
    poison,
    large,
    silence,
    replay,
    kill_before_ack,
    kill_in_hand,
)
"""All of them; the first tells what the queue is bound to."""


def name_of(ordeal: Ordeal) -> str:
    """Return the name under which an ordeal is reported."""
    return getattr(ordeal, "__name__", "").replace("_", "-")


def meaning_of(ordeal: Ordeal) -> str:
    """Return in one line what happens in an ordeal."""
    return (ordeal.__doc__ or "").partition("\n")[0]
