"""The body as a JSON document for the tolerant path: its members, and pointers into it.

It keeps what ordinary decoders lose: repeated members and the spelling of numbers. What holds of the whole
body holds also where nothing reads it, since consumers get it verbatim as the payload.
"""

import codecs
import json
import re
from typing import Final, NoReturn, TypeAlias

import msgspec

from tms_bridge.errors import SettingsError, Undecodable
from tms_bridge.ingest.foreign import OPENERS, refuse_foreign
from tms_bridge.ingest.plain import WHITESPACE, json_value

_MOST_DIGITS: Final = 4300
"""Of a whole number: Python reads no more, so that a consumer in it could not read the payload."""
_SHORT: Final = 60
_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class Members:
    """The members of a JSON object in their order, repeated ones included."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: "list[tuple[str, Value]]") -> None:
        self.pairs = pairs


Value: TypeAlias = "Members | list[Value] | Number | str | bool | None"
"""A JSON value; note that a Number is a str, so ask for it first."""

Pointer: TypeAlias = tuple[str, ...]
"""The unescaped steps of a JSON Pointer (RFC 6901) from the document to a value."""


def _refuse(constant: str) -> NoReturn:
    raise Undecodable(f"{constant} is not a JSON number")


def _whole(text: str) -> Number:
    if len(text) > _MOST_DIGITS:
        raise Undecodable(f"the number {shortened(text)} is beyond what ordinary JSON readers can read")
    return Number(text)


_decoder = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=_whole, parse_float=Number, parse_constant=_refuse
)
_checker = msgspec.json.Decoder(msgspec.Raw)


def parse(value: bytes) -> Members | list[Value]:
    """Return the object or array that the bytes hold, also where it is JSON in a JSON string.

    Raises:
        Undecodable: they are not JSON, or neither object nor array.
    """
    document = _parse(value)
    if isinstance(document, str) and not isinstance(document, Number):
        document = _parse_again(document)
    if not isinstance(document, Members | list):
        raise Undecodable(f"the body is {kind(document)}, where an object is expected")
    return document


def _parse(value: bytes) -> Value:
    try:
        document: Value = _decoder.decode(value.decode())
    except json.JSONDecodeError as error:
        refuse_foreign(value)
        raise Undecodable(f"the body is not JSON: {error}") from None
    _refuse_half_characters(value)
    return document


def _parse_again(text: str) -> Value:
    value = text.encode()
    if not value.lstrip(WHITESPACE + codecs.BOM_UTF8).startswith(OPENERS):
        return text
    document = _parse(json_value(value))
    if isinstance(document, str):
        raise Undecodable("the body is JSON that was encoded more than twice")
    return document


def _refuse_half_characters(value: bytes) -> None:
    # The standard library takes an escape such as \ud800 alone, but many consumers could not decode a message
    # with that in its payload. This decoder checks all strings while it reads nothing.
    try:
        _checker.decode(value)
    except msgspec.DecodeError:
        raise Undecodable(
            'a string has half a surrogate pair (such as "\\ud800"), which is no character'
        ) from None


def unwrapped(value: Value) -> tuple[Value, Pointer]:
    """Return the value in Newtonsoft's wrapping of lists and typed values, and the steps to it."""
    if isinstance(value, Members):
        for name, held in value.pairs:
            if name in {"$values", "$value"}:
                return held, (name,)
    return value, ()


def kind(value: Value) -> str:
    """Return what a value is, for a person."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case Members():
            return "an object"
        case list():
            return "an array"
        case Number():
            return "a number"
        case _:
            return "a string"


def spelling(value: Value) -> str:
    """Return the JSON text of a value, shortened so that it can stand in a sentence."""
    if isinstance(value, Number):
        text = str(value)
    elif isinstance(value, list | Members):
        text = kind(value)
    else:
        text = json.dumps(value)
    return shortened(text)


def shortened(text: str) -> str:
    """Return a text cut to about half a line of a terminal."""
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}…"


def parse_pointer(text: str) -> Pointer:
    """Return the steps of a pointer such as `/Class/ConfirmationStatusId`.

    Raises:
        SettingsError: it is no pointer to a member.
    """
    if not text.startswith("/") or _ESCAPE.search(text):
        raise SettingsError(f"{text!r} is not a JSON Pointer to a member: write /Member or /Outer/Member")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


def write_pointer(pointer: Pointer) -> str:
    """Return a pointer as text."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in pointer)


def resolve(document: Value, pointer: Pointer) -> Value:
    """Return the value that a pointer points to; None where there is nothing.

    Raises:
        Undecodable: a member on the way occurs twice.
    """
    value = document
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
