"""Numbers, texts, flags, moments and statuses, in every way that the TMS family writes them.

What has one plain meaning is read; what has none, or could mean two things, is `UnreadableValue`.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

import msgspec

from tms_bridge.ingest.fields import FieldKind
from tms_bridge.ingest.members import Members, Number, Value, unwrapped
from tms_bridge.ingest.plain import (
    DECIMAL,
    SentStatus,
    UnreadableValue,
    assignment_status,
    class_status,
    from_seconds,
    is_blank,
    is_unset,
    whole,
)
from tms_events import ClassStatus, Trigger

ReadAs: TypeAlias = tuple[object, str]
"""A value as it goes into the message, and how it was read. A moment may still lack its offset."""

Reader: TypeAlias = Callable[[Value], ReadAs]

_OWN: Final = (("id", "value", "code"), ("name", "statusname"))
"""How an object calls its own id, and its own name."""
_FLAGS: Final = dict.fromkeys(("true", "1", "yes", "y", "on"), True) | dict.fromkeys(
    ("false", "0", "no", "n", "off"), False
)
_BETWEEN: Final = re.compile(r"[,;|\s]+")
_DOTNET: Final = re.compile(r"/Date\((-?\d{1,18})(?:[+-]\d{4})?\)/", re.ASCII)
_HTTP: Final = re.compile(
    r"(?:[A-Z][a-z]{2}, )?[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{5,8} (?:GMT|UTC|[+-][0-9]{4})"
)


def own(members: Members, names: tuple[str, ...]) -> Value:
    """Return the first of an object's own members of these lower-case names that holds a value."""
    for wanted in names:
        for name, value in members.pairs:
            if name.lower() == wanted and not is_blank(value):
                return value
    return None


def read_id(value: Value) -> ReadAs:
    """Read a whole number of at most 64 bits, or a string of one; an empty string is none."""
    if is_blank(value):
        return None, "null" if value is None else "empty"
    if not isinstance(value, str):
        raise UnreadableValue("is not a whole number")
    number = whole(value.strip())
    if number is None:
        raise UnreadableValue("is not a whole number of at most 64 bits")
    return number, "number" if isinstance(value, Number) else "number in a string"


def read_int(value: Value) -> ReadAs:
    """Read a whole number as `read_id` does, also the own id of an object."""
    value = unwrapped(value)[0]
    if isinstance(value, Members) and (held := own(value, ("id",))) is not None:
        return read_id(held)[0], "the object's own id"
    return read_id(value)


def read_ints(value: Value) -> ReadAs:
    """Read an array of whole numbers, or a list of them in a string; a number alone is a list of one."""
    value = unwrapped(value)[0]
    if is_blank(value):
        return None, "null" if value is None else "empty"
    if isinstance(value, list):
        numbers, how = [read_int(element)[0] for element in value], "array of numbers"
    elif isinstance(value, str):
        numbers = [read_id(part)[0] for part in _BETWEEN.split(value.strip("[]() \t\r\n"))]
        how = "one number" if isinstance(value, Number) else "numbers in a string"
    else:
        raise UnreadableValue("is not a list of whole numbers")
    if None in numbers:
        raise UnreadableValue("has an element that is not a whole number")
    return tuple(numbers), how


def read_text(value: Value) -> ReadAs:
    """Read a string; a number is taken as it was written, an object by its own name."""
    value = unwrapped(value)[0]
    if isinstance(value, Members) and isinstance(name := own(value, ("name",)), str):
        return str(name), "the object's own name"
    if value is None:
        return None, "null"
    if isinstance(value, bool | list | Members):
        raise UnreadableValue("is not text")
    return str(value), "number taken as text" if isinstance(value, Number) else "text"


def read_flag(value: Value) -> ReadAs:
    """Read true or false, also as a word or as 1 or 0; an empty string is none."""
    value = unwrapped(value)[0]
    if value is None or isinstance(value, bool):
        return value, "null" if value is None else "true or false"
    if isinstance(value, list | Members):
        raise UnreadableValue("is neither true nor false")
    text = value.strip().lower()
    if not text:
        return None, "empty"
    number = whole(text)
    flag = _FLAGS.get(text if number is None else str(number))
    if flag is None:
        raise UnreadableValue("is neither true nor false")
    return flag, "true or false in another form"


def midnight(day: date) -> datetime:
    """Return the beginning of a day, by local clocks."""
    return datetime.combine(day, time())


def read_date(value: Value) -> ReadAs:
    """Read Unix seconds, ISO 8601, `yyyy-MM-dd`, `/Date(ms)/` or an HTTP date; "unset" and blank are none.

    A day is returned as a date, and a time without an offset as a moment without one.
    """
    value = unwrapped(value)[0]
    if is_blank(value):
        return None, "null" if value is None else "empty"
    if not isinstance(value, str):
        raise UnreadableValue("is not a date")
    text = value.strip()
    if DECIMAL.fullmatch(text):
        return _unless_unset(_seconds(text), "Unix seconds")
    if isinstance(value, Number):
        raise UnreadableValue("is not a date (Unix seconds are expected of a number)")
    if dotnet := _DOTNET.fullmatch(text):
        return _unless_unset(from_seconds(int(dotnet[1]) / 1000), ".NET date, milliseconds")
    return _in_words(text)


def _seconds(text: str) -> datetime | None:
    number = whole(text)
    return from_seconds(float(text) if number is None else number)


def _unless_unset(told: date | None, how: str) -> ReadAs:
    if told is None or is_unset(told if isinstance(told, datetime) else midnight(told)):
        return None, f'{how}: "unset"'
    return told, how


def _in_words(text: str) -> ReadAs:
    try:
        return _unless_unset(date.fromisoformat(text), "date alone")
    except ValueError:
        moment = _moment(text)
    return _unless_unset(moment, "ISO 8601" if moment.tzinfo else "ISO 8601 without an offset")


def _moment(text: str) -> datetime:
    # The plain path reads as the first, which rounds a seventh digit; the second takes more of ISO 8601.
    readers = (_strictly, datetime.fromisoformat)
    for read in (parsedate_to_datetime,) if _HTTP.fullmatch(text) else readers:
        try:
            return read(text)
        except ValueError:
            continue
    raise UnreadableValue("is not a date in any form known from TMS")


def _strictly(text: str) -> datetime:
    return msgspec.convert(text, datetime)


def read_status(value: Value, trigger: Trigger) -> SentStatus:
    """Return what the status member of a body means; an object counts through its own id or name.

    Raises:
        UnreadableValue: it is true, false, an array, or an object that tells neither.
    """
    value = unwrapped(value)[0]
    if isinstance(value, Members):
        return _of_object(value, trigger)
    if isinstance(value, bool | list):
        raise UnreadableValue("is neither a status word nor a number")
    told = value if value is None else _spelled(value)
    return class_status(told) if trigger is Trigger.CLASS else assignment_status(told)


def _spelled(value: str) -> str | int:
    # A number in its usual spelling, as the plain path reads it; any other keeps the sender's.
    number = whole(value) if isinstance(value, Number) and value.removeprefix("-").isdecimal() else None
    return str(value) if number is None else number


def _of_object(members: Members, trigger: Trigger) -> SentStatus:
    told = [value for names in _OWN if isinstance(value := own(members, names), str)]
    statuses = [read_status(value, trigger) for value in told]
    known = [status for status in statuses if status.word != ClassStatus.UNKNOWN]
    if len({status.word for status in known}) > 1:
        raise UnreadableValue("gives two statuses")
    if not statuses:
        raise UnreadableValue("has neither an id nor a name of its own")
    return (known or statuses)[0]


READERS: Final[dict[FieldKind, Reader]] = {
    "id": read_id,
    "int": read_int,
    "ints": read_ints,
    "text": read_text,
    "flag": read_flag,
    "date": read_date,
}
"""How each kind of field is read."""
