"""A JSON document that keeps what ordinary decoders lose: repeated members and the spelling of numbers."""

import json
from typing import NoReturn, TypeAlias

import msgspec

from tms_bridge.errors import Undecodable


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


def _refuse(constant: str) -> NoReturn:
    raise Undecodable(f"{constant} is no JSON number")


_decoder = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=_refuse
)

_SHORT = 60
_checker = msgspec.json.Decoder(msgspec.Raw)


def parse(value: bytes) -> Members:
    """Return the object that the bytes hold.

    Raises:
        Undecodable: they are not JSON, or not an object.
    """
    try:
        document: Value = _decoder.decode(value.decode())
    except json.JSONDecodeError as error:
        raise Undecodable(f"the body is not JSON: {error}") from None
    _refuse_half_characters(value)
    if not isinstance(document, Members):
        raise Undecodable(f"the body is {kind(document)}, where an object is expected")
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
