"""What a sender really sends: which members came, of which types, how often. Names and types, never a value.

The vendor publishes no schema, and the bridge sees its bodies every day. A look at a whole body costs some
twenty microseconds, so that it is taken only where a body is of a kind that was not seen yet (other names,
another way of decoding, other fields unread), where it is no event, and at one in `SAMPLE` else. Those
between are counted with what their kind showed last.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.members import parse
from tms_bridge.ingest.plain import json_value
from tms_bridge.ingest.rules import Rules
from tms_bridge.ingest.tolerant import Find, decode_document

MAX_PATHS: Final = 300
SAMPLE: Final = 256
SETTLED: Final = 1000
"""Bodies after which a member or type that was never seen is news."""

_MAX_KINDS: Final = 128
_MAX_NODES: Final = 5000
_MAX_ELEMENTS: Final = 50
_LONGEST_PATH: Final = 200
_TYPES: Final[dict[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}

BodyKind = tuple[object, ...]
"""What bodies have in common that need not be told apart here."""

_anything = msgspec.json.Decoder()


class ObservedMember(msgspec.Struct):
    """One member of a source's bodies.

    Attributes:
        path: JSON Pointer; `*` stands for any element of an array.
        count: bodies that had it.
        types: JSON types of what it held, and how often.
        first_us: when it came first, Unix microseconds.
        last_us: when it came last.
        field: as which field it was read; None where nobody reads it.
    """

    path: str
    first_us: int
    last_us: int
    count: int = 0
    types: dict[str, int] = {}
    field: str | None = None

    def note(self, types: tuple[str, ...], times: int, at_us: int) -> None:
        """Count it in some bodies, of which the last came at this time."""
        self.count += times
        self.last_us = max(self.last_us, at_us)
        for name in types:
            self.types[name] = self.types.get(name, 0) + times


class Observation(msgspec.Struct):
    """What was seen of one source's bodies of one trigger.

    Attributes:
        source: whose bodies.
        trigger: of which trigger.
        bodies: how many came.
        since_us: when the first came, Unix microseconds.
        others: members beyond the `MAX_PATHS` that are kept, counted each time.
        members: what they held, in the order in which they came first.
    """

    source: str
    trigger: str
    since_us: int
    bodies: int = 0
    others: int = 0
    members: dict[str, ObservedMember] = {}


class News(msgspec.Struct, frozen=True):
    """A member or a type that was never seen before in many bodies: the vendor changed something."""

    source: str
    trigger: str
    path: str
    type: str
    known_member: bool


class _Pending(msgspec.Struct):
    """The bodies of one kind that were not looked at, and what its last one showed."""

    seen: dict[str, tuple[str, ...]]
    times: int = 0
    last_us: int = 0


class _Watch:
    """One observation being made."""

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self.pending: dict[BodyKind, _Pending] = {}
        self.rules: Rules | None = None

    def flush(self) -> None:
        """Count the bodies that were not looked at."""
        for pending in self.pending.values():
            self._flush(pending)

    def _flush(self, pending: _Pending) -> None:
        members = self.observation.members
        for path, types in pending.seen.items() if pending.times else ():
            members[path].note(types, pending.times, pending.last_us)
        pending.times = 0

    def look(self, body: bytes, rules: Rules, kind: BodyKind | None, at_us: int) -> list[News]:
        """Look at a whole body, and return what is new in it."""
        if kind in self.pending:
            self._flush(self.pending[kind])
        seen = _seen(body)
        news = self._count(seen, at_us)
        members = self.observation.members
        if rules is not self.rules or any(path in members and members[path].count == 1 for path in seen):
            self._map(body, rules)
        if kind is not None:
            if len(self.pending) >= _MAX_KINDS:
                self.flush()
                self.pending.clear()
            known = {path: types for path, types in seen.items() if path in members}
            self.pending[kind] = _Pending(known)
        return news if self.observation.bodies > SETTLED else []

    def _count(self, seen: dict[str, tuple[str, ...]], at_us: int) -> list[News]:
        observation, news = self.observation, []
        for path, types in seen.items():
            member = observation.members.get(path)
            if member is None:
                if len(observation.members) >= MAX_PATHS:
                    observation.others += 1
                    continue
                member = observation.members[path] = ObservedMember(path, at_us, at_us)
            news += [
                News(observation.source, observation.trigger, path, name, member.count > 0)
                for name in types
                if name not in member.types
            ]
            member.note(types, 1, at_us)
        return news

    def _map(self, body: bytes, rules: Rules) -> None:
        """Note as which fields the members of a body are read, by the rules of now."""
        finds: list[Find] = []
        self.rules = rules
        with suppress(Undecodable):  # what was found until then counts nevertheless
            decode_document(parse(json_value(body)), rules, finds)
        for find in finds:
            member = self.observation.members.get(pattern_of(find.pointer or ""))
            if member is not None:
                member.field = find.field


class Observations:
    """What was seen of every source and trigger; for one thread."""

    def __init__(
        self, kept: tuple[Observation, ...] = (), tell: Callable[[News], None] = lambda _: None
    ) -> None:
        """Go on from what was kept; news is told as it comes."""
        self._watches = {(one.source, one.trigger): _Watch(one) for one in kept}
        self._tell = tell

    def note(self, body: bytes, rules: Rules, kind: BodyKind | None, at_us: int) -> None:
        """Count a body that came; without a kind, as for one that is no event, it is looked at."""
        watch = self._watches.get((rules.source, rules.trigger_word))
        if watch is None:
            watch = _Watch(Observation(rules.source, rules.trigger_word, at_us))
            self._watches[rules.source, rules.trigger_word] = watch
        observation = watch.observation
        observation.bodies += 1
        if kind is not None and observation.bodies % SAMPLE:
            pending = watch.pending.get(kind)
            if pending is not None:
                pending.times += 1
                pending.last_us = at_us
                return
        for news in watch.look(body, rules, kind, at_us):
            self._tell(news)

    @property
    def bodies(self) -> int:
        """How many bodies were counted: as long as it stays, nothing changed."""
        return sum(watch.observation.bodies for watch in self._watches.values())

    def all(self) -> tuple[Observation, ...]:
        """Return everything that was seen, as of now."""
        for watch in self._watches.values():
            watch.flush()
        return tuple(watch.observation for watch in self._watches.values())


def schema_of(observation: Observation) -> dict[str, object]:
    """Return the JSON Schema of what was seen: what came is valid by it, and it says nothing of values."""
    root: dict[str, object] = {"title": f"{observation.trigger} bodies of {observation.source}, as seen"}
    nodes: dict[str, tuple[dict[str, object], int]] = {"": (root, observation.bodies)}
    for member in sorted(observation.members.values(), key=lambda one: one.path.count("/")):
        parent, _, name = member.path.rpartition("/")
        if parent not in nodes:
            continue  # it came when there was no more room for its parent
        above, times = nodes[parent]
        node: dict[str, object] = {"type": sorted(member.types)}
        if name == "*":
            above["items"] = node
        else:
            plain = name.replace("~1", "/").replace("~0", "~")
            _mapping(above, "properties")[plain] = node
            if member.count >= times:
                above["required"] = [*_names(above), plain]
        nodes[member.path] = (node, member.types.get("object", 0))
    return root


def _mapping(node: dict[str, object], key: str) -> dict[str, object]:
    value = node.setdefault(key, {})
    return value if isinstance(value, dict) else {}


def _names(node: dict[str, object]) -> list[str]:
    value = node.get("required", [])
    return value if isinstance(value, list) else []


def pattern_of(pointer: str) -> str:
    """Return a pointer with `*` in the place of each index."""
    return "/".join("*" if step.isdecimal() else step for step in pointer.split("/"))


def _seen(body: bytes) -> dict[str, tuple[str, ...]]:
    """Return the members of a body by path, with the types of what each holds; none where it is no JSON."""
    try:
        document = _anything.decode(json_value(body))
        if isinstance(document, str):
            document = _anything.decode(document)
    except (Undecodable, msgspec.DecodeError, UnicodeEncodeError):
        return {}
    seen: dict[str, tuple[str, ...]] = {}
    for path, value in itertools.islice(_nodes(document), _MAX_NODES):
        name = _TYPES[type(value)]
        types = seen.get(path, ())
        if name not in types:
            seen[path] = (*types, name)
    return seen


def _nodes(document: object) -> Iterator[tuple[str, object]]:
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        path, value = waiting.pop()
        if path:
            yield path[:_LONGEST_PATH], value
        if isinstance(value, dict):
            for name, held in reversed(value.items()):
                escaped = "*" if name.isdecimal() else name.replace("~", "~0").replace("/", "~1")
                waiting.append((f"{path}/{escaped}", held))
        elif isinstance(value, list):
            waiting += [(f"{path}/*", element) for element in value[:_MAX_ELEMENTS]]
