"""What it costs to see what TMS sends, over a simulated month of bodies, and how soon a change is told.

    python benchmarks/month.py                       100,000 bodies, as one sender sends them
    python benchmarks/month.py --bodies 1000000      more of them
    python benchmarks/month.py --varied              each in an encoding of its own, which no sender does

The bodies are those of `tms-bridge simulate`. Each is decoded first, as the webhook listener does; then what
`tms-bridge fields` needs is timed alone, less the empty loop. At the end something new is planted.
"""

import argparse
import itertools
import json
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from tms_bridge.cli.simulate.lives import lives
from tms_bridge.errors import Undecodable
from tms_bridge.ingest import News, Observations, Rules, Stamp, rules_of, understand_in_full
from tms_bridge.ingest.observation import BodyKind
from tms_bridge.settings.model import Source
from tms_events import Trigger

_PLACES = 100
_ROUNDS = 5
_STAMP = Stamp("0199c0de-0000-7000-8000-000000000001", 1_772_366_400_123_456, "d" * 64, "00-a-b-01")
_RULES = rules_of("contoso", Source(allow_from=("any",), credentials=()))

Seen = tuple[bytes, Rules, BodyKind | None]
"""A body as it is handed over to be seen."""


class Planted(NamedTuple):
    """What was planted, and how many bodies with it came until it was told."""

    what: str
    bodies: int


class Month(NamedTuple):
    """The figures.

    Attributes:
        bodies: how many came.
        ns_an_event: processor time to see one.
        memory_bytes: what is kept of all of them in memory.
        file_bytes: the same in the file beside the outbox.
        paths: members that are kept.
        news: what was told of them before anything was planted.
        planted: how soon each change was told.
    """

    bodies: int
    ns_an_event: float
    memory_bytes: int
    file_bytes: int
    paths: int
    news: int
    planted: Sequence[Planted]


def seen_as(trigger: Trigger, body: bytes) -> Seen:
    """Return a body with what decoding says of its kind."""
    rules = _RULES[trigger]
    try:
        return body, rules, understand_in_full(body, rules, _STAMP)[2]
    except Undecodable:
        return body, rules, None


def sent(count: int, *, varied: bool) -> Iterator[Seen]:
    """Yield the bodies of many entities that live side by side."""
    places = [lives(1, place, _PLACES, plain=not varied) for place in range(_PLACES)]
    for event in itertools.islice(itertools.chain.from_iterable(zip(*places, strict=True)), count):
        yield seen_as(Trigger(event.trigger), event.body)


def month(count: int, *, varied: bool = False, rounds: int = _ROUNDS) -> Month:
    """See so many bodies, and measure it."""
    bodies = list(sent(count, varied=varied))
    ns = min(_ns_an_event(bodies) for _ in range(rounds))
    news: list[News] = []
    tracemalloc.start()
    observations = Observations(tell=news.append)
    for at, (body, rules, kind) in enumerate(bodies):
        observations.note(body, rules, kind, at)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    kept = observations.all()
    told = len(news)
    planted = [
        Planted(what, _told_after(observations, news, body, path)) for what, body, path in _changes(bodies)
    ]
    paths = sum(len(one.members) for one in kept)
    return Month(count, ns, memory, len(msgspec.json.encode(kept)), paths, told, planted)


def _ns_an_event(bodies: Sequence[Seen]) -> float:
    observations = Observations()
    begun = time.process_time_ns()
    for body, rules, kind in bodies:
        observations.note(body, rules, kind, 1)
    noted = time.process_time_ns()
    for _body, _rules, _kind in bodies:
        pass
    return (noted - begun - (time.process_time_ns() - noted)) / len(bodies)


def _changes(bodies: Sequence[Seen]) -> Iterator[tuple[str, bytes, str]]:
    """Yield what the vendor might change, in the last body of a class."""
    last = json.loads(next(body for body, rules, _ in reversed(bodies) if rules.trigger is Trigger.CLASS))
    for what, member, value, path in (
        ("a new member", "Planted", 1, "/Planted"),
        ("a known member with a new type", "ExternalId", True, "/ExternalId"),
        ("a new member inside an object", "Room", {"Planted": 1}, "/Room/Planted"),
        (
            "a new member inside an array that was empty",
            "ClassMeetings",
            [{"Planted": 1}],
            "/ClassMeetings/*/Planted",
        ),
    ):
        yield what, json.dumps({**last, member: value}).encode(), path


def _told_after(observations: Observations, news: list[News], body: bytes, path: str) -> int:
    """Return how many bodies came until a change was told."""
    seen, rules, kind = seen_as(Trigger.CLASS, body)
    for count in itertools.count(1):
        observations.note(seen, rules, kind, count)
        if any(one.path == path for one in news):
            return count
    raise AssertionError


def main(arguments: Sequence[str]) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bodies", type=int, default=100_000)
    parser.add_argument("--varied", action="store_true")
    options = parser.parse_args(arguments)
    figures = month(options.bodies, varied=options.varied)
    print(f"bodies                  {figures.bodies:,}")
    print(f"processor time an event {figures.ns_an_event / 1000:.2f} µs (the least of {_ROUNDS} rounds)")
    print(f"memory                  {figures.memory_bytes / 1024:.0f} KiB for {figures.paths} members")
    print(f"file beside the outbox  {figures.file_bytes / 1024:.0f} KiB")
    print(f"told in between         {figures.news}")
    for planted in figures.planted:
        print(f"{planted.what}: told with body {planted.bodies:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
