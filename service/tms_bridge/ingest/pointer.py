"""JSON Pointers (RFC 6901): where a source says that a field lies."""

import re

from tms_bridge.errors import SettingsError, Undecodable
from tms_bridge.ingest.members import Members, Value

Pointer = tuple[str, ...]
"""The unescaped steps from the document to the value."""

_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def parse_pointer(text: str) -> Pointer:
    """Return the steps of a pointer such as `/Class/ConfirmationStatusId`.

    Raises:
        SettingsError: it is no pointer to a member.
    """
    if not text.startswith("/") or _ESCAPE.search(text):
        raise SettingsError(f"{text!r} is no JSON Pointer to a member: write /Member or /Outer/Member")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


def write_pointer(pointer: Pointer) -> str:
    """Return a pointer as text."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in pointer)


def resolve(document: Members, pointer: Pointer) -> Value:
    """Return the value that a pointer points to; None where there is nothing.

    Raises:
        Undecodable: a member on the way occurs twice.
    """
    value: Value = document
    for depth, step in enumerate(pointer, start=1):
        value = _step(value, step, pointer[:depth])
    return value


def _step(value: Value, step: str, place: Pointer) -> Value:
    if isinstance(value, Members):
        return _only(value, step, place)
    if isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
        return value[int(step)]
    return None


def _only(members: Members, name: str, place: Pointer) -> Value:
    """Return the one member of that very name, None where there is none; raises Undecodable for two."""
    found = [value for member, value in members.pairs if member == name]
    if len(found) > 1:
        raise repeated(place, len(found))
    return found[0] if found else None


def repeated(place: Pointer, times: int) -> Undecodable:
    """Return the error for a member that is read and occurs more than once."""
    return Undecodable(f"{write_pointer(place)} occurs {times} times; nobody can tell which is meant")
