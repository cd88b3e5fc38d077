"""Whole numbers, texts and flags, in every way that the TMS family writes them."""

import re
from collections.abc import Callable
from typing import TypeAlias

from tms_bridge.ingest.members import Members, Number, Value

Reading: TypeAlias = tuple[object, str]
"""A value as it goes into the message, and how it was read."""

Reader: TypeAlias = Callable[[Value], Reading]

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

WHOLE = re.compile(r"-?[0-9]{1,19}")
"""A whole number that may fit 64 bits."""

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Unreadable(ValueError):  # noqa: N818 - states the fact; it never leaves ingest
    """No type can hold the value; the text follows on its place and spelling."""


def read_int(value: Value) -> Reading:
    """Read a whole number of at most 64 bits, or a string of one; an empty string is none."""
    if value is None:
        return None, "null"
    if isinstance(value, bool | list | Members):
        raise Unreadable("is no whole number")
    text = value.strip()
    if not text:
        return None, "empty"
    if not WHOLE.fullmatch(text) or not INT64_MIN <= int(text) <= INT64_MAX:
        raise Unreadable("is no whole number of at most 64 bits")
    return int(text), "number" if isinstance(value, Number) else "number in a string"


def read_ints(value: Value) -> Reading:
    """Read an array of whole numbers."""
    if value is None:
        return None, "null"
    if not isinstance(value, list):
        raise Unreadable("is no array of whole numbers")
    numbers = [read_int(element)[0] for element in value]
    if None in numbers:
        raise Unreadable("has an element that is no whole number")
    return numbers, "array of numbers"


def read_text(value: Value) -> Reading:
    """Read a string; a number is taken as it was written."""
    if value is None:
        return None, "null"
    if isinstance(value, bool | list | Members):
        raise Unreadable("is no text")
    return str(value), "number taken as text" if isinstance(value, Number) else "text"


def read_flag(value: Value) -> Reading:
    """Read true or false, also as a string or as 1 or 0; an empty string is none."""
    if value is None or isinstance(value, bool):
        return value, "null" if value is None else "true or false"
    if isinstance(value, list | Members):
        raise Unreadable("is neither true nor false")
    text = value.strip().lower()
    if text and text not in _FLAGS:
        raise Unreadable("is neither true nor false")
    return _FLAGS.get(text), "flag in other clothes" if text else "empty"
