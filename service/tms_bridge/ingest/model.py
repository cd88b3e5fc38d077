"""Where in a document the model lies: bare, or in wrappers such as `{"Results": [ … ]}`."""

from collections import Counter

import msgspec

from tms_bridge.errors import Undecodable
from tms_bridge.ingest.fields import ID, WRAPPERS, fold
from tms_bridge.ingest.members import Members, Value, kind
from tms_bridge.ingest.pointer import Pointer, repeated, write_pointer
from tms_events import Trigger

MAX_WRAPPERS = 4
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
        for name, value in members.pairs:
            self._places.setdefault(fold(name), []).append(Found((*pointer, name), value))

    def named(self, aliases: tuple[str, ...]) -> list[Found]:
        """Return the members of these names, in the order of the names.

        Raises:
            Undecodable: one of them occurs twice.
        """
        found = [place for alias in aliases for place in self._places.get(alias, ())]
        if len(found) > 1:
            _refuse_repeated(found)
        return found

    def nested(self, aliases: tuple[str, ...]) -> list[Found]:
        """Return the members of these names that hold an object or an array, repeated ones included."""
        found = [place for alias in aliases for place in self._places.get(alias, ())]
        return [place for place in found if isinstance(place.value, list | Members)]


def _refuse_repeated(found: list[Found]) -> None:
    for pointer, times in Counter(place.pointer for place in found).items():
        if times > 1:
            raise repeated(pointer, times)


def find_model(document: Members, trigger: Trigger) -> Model:
    """Return the object that has the id, or the innermost one where none has.

    Raises:
        Undecodable: a wrapper does not hold exactly one object, or two places look like the model.
    """
    model = Model((), document)
    for _ in range(MAX_WRAPPERS):
        inner = _unwrapped(model, trigger)
        if inner is None:
            return model
        model = inner
    raise Undecodable(f"more than {MAX_WRAPPERS} wrappers lie around the {trigger}")


def _unwrapped(model: Model, trigger: Trigger) -> Model | None:
    wrapped = model.nested(WRAPPERS[trigger])
    if _has_id(model.members, trigger):
        _refuse_two_ids(model, wrapped, trigger)
        return None
    if not wrapped:
        return None
    model.named(WRAPPERS[trigger])  # only here is a wrapper read, and so may not occur twice
    if len(wrapped) > 1:
        raise Undecodable(f"{_places(wrapped)} could each hold the {trigger}; {_point('id', trigger)}")
    return _opened(wrapped[0])


def _opened(wrapper: Found) -> Model:
    where = write_pointer(wrapper.pointer)
    if isinstance(wrapper.value, Members):
        return Model(wrapper.pointer, wrapper.value)
    elements = wrapper.value if isinstance(wrapper.value, list) else []
    if len(elements) != 1:
        raise Undecodable(f"{where} holds {len(elements)} elements, where exactly one is expected")
    if not isinstance(elements[0], Members):
        raise Undecodable(f"{where}/0 is {kind(elements[0])}, where an object is expected")
    return Model((*wrapper.pointer, "0"), elements[0])


def _has_id(value: Value, trigger: Trigger) -> bool:
    if not isinstance(value, Members):
        return isinstance(value, list) and any(_has_id(element, trigger) for element in value)
    return any(fold(name) in ID[trigger].aliases and held is not None for name, held in value.pairs)


def _refuse_two_ids(model: Model, wrapped: list[Found], trigger: Trigger) -> None:
    rivals = [found for found in wrapped if _has_id(found.value, trigger)]
    if rivals:
        here = write_pointer(model.pointer) or "the body itself"
        raise Undecodable(
            f"both {here} and {_places(rivals)} have an id, so either could be the {trigger}; "
            f"{_point('id', trigger)}"
        )


def _places(found: list[Found]) -> str:
    return " and ".join(write_pointer(one.pointer) for one in found)


def _point(field: str, trigger: Trigger) -> str:
    return f"say which with [sources.NAME.fields.{trigger}] {field} = a JSON Pointer"
