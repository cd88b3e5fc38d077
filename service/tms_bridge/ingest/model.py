"""Where in a document the model lies: bare, or in wrappers such as `{"Results": [ … ]}`."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.fields import CALL_MARKS, CALL_STATUS, ID, ONLY, OTHER, UNMISTAKABLE, WRAPPERS, fold
from tms_bridge.ingest.members import Members, Pointer, Value, kind, repeated, unwrapped, write_pointer
from tms_bridge.ingest.plain import UnreadableValue, is_blank
from tms_bridge.ingest.values import read_id
from tms_events import Trigger

MAX_WRAPPERS: Final = 4
"""Wrappers inside one another; two (`Results` around `Class`) is the most that was seen."""


class Found(msgspec.Struct, frozen=True):
    """A value and where it lies."""

    pointer: Pointer
    value: Value


class Model:
    """The object that holds the entity's members, and where it lies."""

    def __init__(self, pointer: Pointer, members: Members) -> None:
        self.pointer = pointer
        self.members = members
        self._places: dict[str, list[Found]] = {}
        self._add(pointer, members)

    def _add(self, pointer: Pointer, members: Members) -> None:
        for name, value in members.pairs:
            self._places.setdefault(fold(name), []).append(Found((*pointer, name), value))

    def join(self, other: "Model") -> None:
        """Take in the members of another object that has the same id."""
        self._add(other.pointer, other.members)

    @property
    def names(self) -> set[str]:
        """The names of the members, as they are compared."""
        return set(self._places)

    def named(self, aliases: tuple[str, ...]) -> list[Found]:
        """Return the members of these names, in the order of the names.

        Raises:
            Undecodable: one of them occurs twice.
        """
        found = [place for alias in aliases for place in self._places.get(alias, ())]
        if len(found) > 1:
            _refuse_repeated(found)
        return found

    def statuses(self, aliases: tuple[str, ...]) -> list[Found]:
        """Return the members that tell the entity's status, without that of the API's call itself."""
        if not CALL_MARKS.isdisjoint(self._places):
            aliases = tuple(alias for alias in aliases if alias != CALL_STATUS)
        return self.named(aliases)

    def wrappers(self, trigger: Trigger) -> list[Found]:
        """Return the members that may hold the model, repeated ones included."""
        found = [place for alias in WRAPPERS[trigger] for place in self._places.get(alias, ())]
        return [place for place in found if isinstance(place.value, list | Members)]

    def ids(self, trigger: Trigger) -> set[int]:
        """Return the ids that can be read here; what can be no id does not count."""
        return {number for found in self.claims(trigger) if (number := _id(found.value)) is not None}

    def claims(self, trigger: Trigger) -> list[Found]:
        """Return the members that are called an id and hold anything."""
        found = [place for alias in ID[trigger].aliases for place in self._places.get(alias, ())]
        return [place for place in found if not is_blank(place.value)]


def _id(value: Value) -> int | None:
    try:
        number = read_id(value)[0]
    except UnreadableValue:
        return None
    return number if isinstance(number, int) else None


def _refuse_repeated(found: list[Found]) -> None:
    for pointer, times in Counter(place.pointer for place in found).items():
        if times > 1:
            raise repeated(pointer, times)


class _Search:
    """A walk through the wrappers of a document."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self.seen: list[Model] = []
        self.problems: list[Undecodable] = []

    def models(self, value: Value, pointer: Pointer = (), depth: int = 0) -> Iterator[Model]:
        """Yield the objects that have a readable id, the outer ones first."""
        value, steps = unwrapped(value)
        pointer = (*pointer, *steps)
        if isinstance(value, Members):
            yield from self._model(Model(pointer, value), depth)
        elif isinstance(value, list) and len(value) == 1:
            yield from self.models(value[0], (*pointer, "0"), depth)
        else:
            self.problems.append(_no_model(value, pointer))

    def _model(self, model: Model, depth: int) -> Iterator[Model]:
        self.seen.append(model)
        if model.ids(self.trigger):
            yield model
        wrappers = model.wrappers(self.trigger)
        if depth == MAX_WRAPPERS and wrappers:
            self.problems.append(
                Undecodable(f"more than {MAX_WRAPPERS} wrappers lie around the {self.trigger}")
            )
            return
        for inner in wrappers:
            yield from self.models(inner.value, inner.pointer, depth + 1)


def _no_model(value: Value, pointer: Pointer) -> Undecodable:
    where = write_pointer(pointer) or "the body"
    if isinstance(value, list):
        return Undecodable(f"{where} holds {len(value)} elements, where exactly one is expected")
    return Undecodable(f"{where} is {kind(value)}, where an object is expected")


def find_model(document: Value, trigger: Trigger) -> Model:
    """Return the object that has the id, or the one that should have it where none has.

    Raises:
        Undecodable: there is no such object, or there are several with different ids.
    """
    search = _Search(trigger)
    models = list(search.models(document))
    if not models:
        return _without_id(search)
    _refuse_repeated([Found(model.pointer, None) for model in models])
    first, *others = models
    rivals = [model for model in others if model.ids(trigger) != first.ids(trigger)]
    if rivals:
        raise _rivals([first, *rivals], trigger)
    for model in others:
        first.join(model)
    return first


def _without_id(search: _Search) -> Model:
    for model in search.seen:
        if model.claims(search.trigger):
            return model
    if search.problems or not search.seen:
        raise search.problems[0]
    _refuse_repeated([Found(model.pointer, None) for model in search.seen])
    return search.seen[-1]


def _rivals(models: list[Model], trigger: Trigger) -> Undecodable:
    places = " and ".join(write_pointer(model.pointer) or "the body itself" for model in models[:8])
    return Undecodable(
        f"{places} have different ids, so that either could be the {trigger}; "
        f"say which with [sources.NAME.fields.{trigger}] id = a JSON Pointer"
    )


def holds_other_trigger(document: Value, trigger: Trigger) -> bool:
    """Say whether a document in which nothing has an id of ours is unmistakably the other trigger's."""
    other = OTHER[trigger]
    foreign = ONLY[other].union(WRAPPERS[other]).difference(WRAPPERS[trigger])
    for model in _Search(other).models(document):
        names = model.names.union(map(fold, model.pointer))
        if len(names & foreign) >= UNMISTAKABLE and names.isdisjoint(ONLY[trigger]):
            return True
    return False
