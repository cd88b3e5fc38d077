"""Moments, in every way that the TMS family writes them."""

import re
from datetime import UTC, datetime, timedelta

import msgspec

from tms_bridge.ingest.members import Members, Number, Value
from tms_bridge.ingest.values import Reading, Unreadable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DOTNET = re.compile(r"/Date\((-?\d{1,18})(?:[+-]\d{4})?\)/")
_SECONDS = re.compile(r"-?\d{1,18}(?:\.\d{1,9})?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def from_seconds(seconds: float) -> datetime:
    """Return the moment of a Unix time.

    Raises:
        Unreadable: it lies beyond the years 1 to 9999.
    """
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise Unreadable("lies beyond the years 1 to 9999 (Unix seconds are expected)") from None


def from_micros(micros: int) -> datetime:
    """Return the moment of a Unix time in microseconds, exactly."""
    return EPOCH + timedelta(microseconds=micros)


def aware(moment: datetime) -> datetime:
    """Return the moment with an offset: UTC where the sender told none."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_date(value: Value) -> Reading:
    """Read Unix seconds, ISO 8601, `yyyy-MM-dd` or `/Date(ms)/`; an empty string is none."""
    if value is None or isinstance(value, bool | list | Members):
        return _nothing(value)
    text = value.strip()
    if isinstance(value, Number) or _SECONDS.fullmatch(text):
        return from_seconds(_number(text)), "Unix seconds"
    if not text:
        return None, "empty"
    if dotnet := _DOTNET.fullmatch(text):
        return from_seconds(int(dotnet[1]) / 1000), ".NET date, milliseconds"
    return _iso(text)


def _nothing(value: Value) -> Reading:
    if value is None:
        return None, "null"
    raise Unreadable("is no date")


def _number(text: str) -> float:
    if not _SECONDS.fullmatch(text):
        raise Unreadable("is no date (Unix seconds are expected of a number)")
    return float(text) if "." in text else int(text)


def _iso(text: str) -> Reading:
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        moment = _loosely(text)
    if _DATE.fullmatch(text):
        return aware(moment), "date alone: midnight UTC"
    how = "ISO 8601" if moment.tzinfo else "ISO 8601 without an offset: taken as UTC"
    return aware(moment), how


def _loosely(text: str) -> datetime:
    # The standard library takes more of ISO 8601, and cuts the digits of .NET's last moment, 59.9999999 s.
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable("is no date in any form that is known of TMS") from None
