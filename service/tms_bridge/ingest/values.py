"""Numbers, texts, flags and moments, in every way that the TMS family writes them.

What has one plain meaning is read; what has none, or could mean two things, is `UnreadableValue`.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.resources import files
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
from tzlocal.windows_tz import win_tz

from tms_bridge.ingest.members import Members, Number, Value, unwrapped

ReadAs: TypeAlias = tuple[object, str]
"""A value as it goes into the message, and how it was read. A moment may still lack its offset."""

Reader: TypeAlias = Callable[[Value], ReadAs]

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ZERO: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the local reading of "no date"
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,308}(?:\.[0-9]{0,308})?(?:[eE][+-]?[0-9]{1,4})?")
_LONGEST_INT64: Final = 19
_FLAGS: Final = dict.fromkeys(("true", "1", "yes", "y", "on"), True) | dict.fromkeys(
    ("false", "0", "no", "n", "off"), False
)
_BETWEEN: Final = re.compile(r"[,;|\s]+")
_DOTNET: Final = re.compile(r"/Date\((-?\d{1,18})(?:[+-]\d{4})?\)/", re.ASCII)
_HTTP: Final = re.compile(
    r"(?:[A-Z][a-z]{2}, )?[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{5,8} (?:GMT|UTC|[+-][0-9]{4})"
)
_LONGEST_ZONE: Final = 64


class UnreadableValue(ValueError):  # noqa: N818 - states the fact; it never leaves ingest
    """No type can hold the value; the text follows on its place and spelling."""


def is_blank(value: Value) -> bool:
    """Say whether a member holds nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def whole(text: str) -> int | None:
    """Return the whole number of at most 64 bits that a text is by value: `2.0` and `2e0` are 2."""
    if _WHOLE.fullmatch(text):
        number = int(text)
    elif _DECIMAL.fullmatch(text):
        value = Decimal(text)
        # A large exponent must not become a number of as many digits.
        if value and (value.adjusted() >= _LONGEST_INT64 or value != value.to_integral_value()):
            return None
        number = int(value) if value else 0
    else:
        return None
    return number if INT64_MIN <= number <= INT64_MAX else None


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


def from_micros(micros: int) -> datetime:
    """Return the moment of a Unix time in microseconds, exactly."""
    return EPOCH + timedelta(0, 0, micros)


def from_seconds(seconds: float) -> datetime | None:
    """Return the moment of a Unix time; none for zero and below, which is how the family says "unset".

    Raises:
        UnreadableValue: it lies beyond the year 9999.
    """
    if seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise UnreadableValue("lies beyond the year 9999 (Unix seconds are expected)") from None


def moment_of(
    told: datetime | int | None, field: str, zone: str | None, assumed: list[str]
) -> datetime | None:
    """Return the moment that a field of the plain model tells, and name it where its offset is assumed."""
    if told is None:
        return None
    if isinstance(told, int):
        return from_seconds(told)
    if is_unset(told):
        return None
    if told.tzinfo is None:
        assumed.append(field)
    return in_utc(told, zone)


def is_unset(moment: datetime) -> bool:
    """Say whether a moment is .NET's or Unix's zero, or before it, by whatever clock."""
    if moment.year > EPOCH.year:
        return False
    return moment.replace(tzinfo=None) <= _ZERO or (moment.tzinfo is not None and moment <= EPOCH)


def in_utc(moment: datetime, zone: str | None) -> datetime:
    """Return a moment in UTC; where it has no offset, the clocks of the zone count, or else UTC.

    Raises:
        UnreadableValue: in UTC it lies beyond the year 9999.
    """
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC if zone is None else ZoneInfo(zone))
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise UnreadableValue("lies beyond the year 9999 in UTC") from None


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
    if _DECIMAL.fullmatch(text):
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


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    iana = files("tzdata").joinpath("zones").read_text("ascii").split()
    windows = {name.lower(): zone for name, zone in win_tz.items() if zone in iana}
    return {name.lower(): name for name in iana} | windows


@lru_cache(maxsize=256)
def _zone(told: str) -> str | None:
    return _zones().get(told.strip().lower())


def zone_of(told: str | None) -> str | None:
    """Return the IANA name of a time zone by its Windows or IANA name, in any case; None where unknown."""
    return None if told is None or len(told) > _LONGEST_ZONE else _zone(told)
