"""The gate, `python -m tms_events compare RELEASED DIR`: what of a released contract a later one breaks.

Consumers of today read the messages of tomorrow, and an archive replays those of yesterday, so the rule is
the same in both directions: what was there stays, with its name and its type. Members, words, headers,
routing keys and explanations may come.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tms_events.artefact.json_schema import Schema

MESSAGES = ("course_assignment_changed.json", "class_changed.json")
ACCEPTED = "accepted.json"
"""Beside a released contract: breaks that were decided on, by their place, each with its reason."""

_EXPLANATIONS = {"title", "description", "examples", "default", "$comment"}
_COMPARED_APART = {"type", "enum", "anyOf", "properties", "required", "items", "$ref"}


class Break(msgspec.Struct, frozen=True, order=True):
    """One thing that a consumer relied on and that is no longer so.

    Attributes:
        place: of the member, such as `class_changed.class.min_students`.
        reason: what became of it.
    """

    place: str
    reason: str


def compare(released: Path, today: Path) -> list[Break]:
    """Return what a contract breaks of a released one, without what was accepted; both are directories.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is no JSON.
    """
    found = [*_compare_schemas(released, today), *_compare_golden(released, today)]
    accepted = _json(released / ACCEPTED) if (released / ACCEPTED).exists() else {}
    return sorted(one for one in found if one.place not in accepted)


def releases(directory: Path) -> list[Path]:
    """Return the released contracts in a directory, the newest last."""
    folders = [path for path in directory.iterdir() if path.is_dir()]
    return sorted(folders, key=lambda path: [int(part) for part in path.name.split(".")])


def _compare_schemas(released: Path, today: Path) -> Iterator[Break]:
    messages = _golden(released)
    for name in MESSAGES:
        place, old, new = name.removesuffix(".json"), _json(released / name), _json(today / name)
        if old["$id"] != new["$id"]:
            yield Break(place, f"its id was {old['$id']}, and is {new['$id']}")
        bodies = [one["body"] for one in messages.values() if f"{one['body']['trigger']}_changed" == place]
        yield from _Comparison(old["$defs"], new["$defs"]).compare(place, old, new, bodies)


class _Comparison(msgspec.Struct, frozen=True):
    old_parts: dict[str, Schema]
    new_parts: dict[str, Schema]

    def compare(self, place: str, old: Schema, new: Schema, values: list[Any]) -> Iterator[Break]:
        """Compare two schemas of one place; the values are what stood there in released messages."""
        old, new = _resolved(old, self.old_parts), _resolved(new, self.new_parts)
        if _types(old) != _types(new):
            yield Break(place, f"was {_named(_types(old))}, and is {_named(_types(new))}")
            return
        if lost := _words(old) - _words(new):
            yield Break(place, f"no longer has {_named(lost)}")
        if _words(new) and _is_open(old) and not _is_open(new):
            yield Break(place, "took every word, and takes only some")
        for limit in sorted(_limits(old).keys() | _limits(new).keys()):
            if _limits(old).get(limit) != _limits(new).get(limit):
                yield Break(place, f"{limit} was {_limits(old).get(limit)}, and is {_limits(new).get(limit)}")
        if "items" in old:
            items = [item for value in values if isinstance(value, list) for item in value]
            yield from self.compare(f"{place}[]", old["items"], new.get("items", {}), items)
        if "properties" in old:
            objects = [value for value in values if isinstance(value, dict)]
            yield from self._compare_members(place, old, new, objects)

    def _compare_members(
        self, place: str, old: Schema, new: Schema, values: list[dict[str, Any]]
    ) -> Iterator[Break]:
        members, later = old["properties"], new.get("properties", {})
        for name, member in members.items():
            if name not in later:
                yield Break(f"{place}.{name}", "is gone, or has another name")
                continue
            told = [value[name] for value in values if name in value]
            yield from self.compare(f"{place}.{name}", member, later[name], told)
        before, now = set(old.get("required", [])), set(new.get("required", []))
        for name in sorted((before - now) & later.keys()):
            yield Break(f"{place}.{name}", "was always sent, and may be left out")
        for name in sorted(now - before):
            # What was always sent may be promised; what released messages lack may not.
            if not all(name in value for value in values):
                yield Break(f"{place}.{name}", "is required, and released messages do without")


def _compare_golden(released: Path, today: Path) -> Iterator[Break]:
    new = _golden(today)
    for name, message in _golden(released).items():
        place = f"golden/{name}"
        if name not in new:
            yield Break(place, f"is gone, and with it perhaps {message['routing_key']}")
            continue
        for part in ("routing_key", "exchange"):
            if message[part] != new[name][part]:
                yield Break(f"{place}.{part}", f"was {message[part]}, and is {new[name][part]}")
        for part in ("properties", "headers"):
            for key, value in message[part].items():
                if type(value) is not type(new[name][part].get(key)):
                    yield Break(f"{place}.{part}.{key}", "is gone, or is of another type")


def _golden(directory: Path) -> dict[str, Any]:
    return {path.name: _json(path) for path in sorted((directory / "golden").glob("*.json"))}


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _resolved(schema: Schema, parts: dict[str, Schema]) -> Schema:
    resolved = schema
    while "$ref" in resolved:
        resolved = parts[resolved["$ref"].rpartition("/")[2]]
    choices = [_resolved(choice, parts) for choice in resolved.get("anyOf", [])]
    objects = [choice for choice in choices if "properties" in choice or "items" in choice]
    # Members and items of "this or null" are compared as those of "this".
    return {**(objects[0] if objects else {}), **resolved, **({"anyOf": choices} if choices else {})}


def _types(schema: Schema) -> frozenset[str]:
    if "anyOf" in schema:
        return frozenset().union(*(_types(choice) for choice in schema["anyOf"]))
    told = schema.get("type", "string" if _words(schema) else "any")
    return frozenset([told] if isinstance(told, str) else told)


def _words(schema: Schema) -> frozenset[str]:
    inner = frozenset().union(*(_words(choice) for choice in schema.get("anyOf", [])))
    return inner | frozenset(map(str, schema.get("enum", []))) | frozenset(map(str, _const(schema)))


def _const(schema: Schema) -> list[object]:
    return [schema["const"]] if "const" in schema else []


def _is_open(schema: Schema) -> bool:
    choices = schema.get("anyOf", [schema])
    return any(not _words(choice) and "string" in _types(choice) for choice in choices)


def _limits(schema: Schema) -> dict[str, object]:
    own = {
        name: value
        for name, value in schema.items()
        if name not in _EXPLANATIONS | _COMPARED_APART | {"const"} and not name.startswith("$")
    }
    for choice in schema.get("anyOf", []):
        own |= _limits(choice)
    return own


def _named(words: frozenset[str]) -> str:
    return " or ".join(sorted(words))
