"""From a message body to its struct, and back."""

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from tms_events.errors import MalformedMessage, MessageError, UnknownTrigger
from tms_events.event import Event
from tms_events.trigger import Trigger

MAX_DIGITS = 4300
"""The longest integer that Python reads by default."""

_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Trigger(msgspec.Struct):
    trigger: str


class _Payload(msgspec.Struct):
    payload: msgspec.Raw = msgspec.Raw()


_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_triggers = msgspec.json.Decoder(_Trigger)
_payloads = msgspec.json.Decoder(_Payload)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


def decode(body: bytes | bytearray | memoryview) -> Event:
    """Return the event that a message body holds, as the struct of its trigger.

    Members that this version does not know are ignored, and words that it does not know are kept. Nothing
    of the event refers to the body. A number of the payload that Python cannot hold (1e999, or an integer
    of more than `MAX_DIGITS`) is the text that stood there.

    Raises:
        UnknownTrigger: the event is of a trigger that came after this version.
        MalformedMessage: the body is no event of the bridge; the text says what is wrong and where.
    """
    try:
        return _events.decode(body)
    except _BAD_JSON as error:
        return _decode_apart(bytes(body), error)


def encode(event: Event) -> bytes:
    """Return an event as the bridge would send it; the payload is written anew, with the same value."""
    try:
        return _encoder.encode(event)
    except OverflowError:  # an integer beyond 64 bits, which msgspec reads and does not write
        payload = msgspec.Raw(json.dumps(event.payload).encode())
        return _encoder.encode(msgspec.structs.replace(event, payload=payload))


def to_dict(event: Event) -> dict[str, Any]:
    """Return an event as the JSON object that `encode` writes: names as on the wire, moments as text."""
    members: dict[str, Any] = json.loads(encode(event))
    return members


def from_dict(members: Mapping[str, object]) -> Event:
    """Return the event that a JSON object holds, which someone else has read, or `to_dict` has made.

    Raises:
        UnknownTrigger: as `decode` does; the body is the object, encoded.
        MalformedMessage: as `decode` does.
    """
    try:
        event: Event = msgspec.convert(members, Event)
    except msgspec.ValidationError as error:
        raise _error(json.dumps(members, default=str).encode(), error) from error
    return event


def payload_bytes(body: bytes | bytearray | memoryview) -> bytes | None:
    """Return the payload of a message body as the sender wrote it, byte for byte; None where it is omitted.

    Raises:
        MalformedMessage: the body is no JSON object.
    """
    try:
        return bytes(_payloads.decode(body).payload) or None
    except _BAD_JSON as error:
        raise MalformedMessage(f"no event of the bridge: {error}", bytes(body)) from error


def _decode_apart(body: bytes, error: Exception) -> Event:
    """Read the payload apart from the event, for what msgspec refuses there alone."""
    try:
        members = _members.decode(body)
        payload = json.loads(bytes(members.pop("payload")), parse_int=_whole, parse_float=_fraction)
        return msgspec.structs.replace(_events.decode(_encoder.encode(members)), payload=payload)
    except (KeyError, ValueError, RecursionError):
        raise _error(body, error) from error


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= MAX_DIGITS else text


def _fraction(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _error(body: bytes, error: Exception) -> MessageError:
    try:
        trigger = _triggers.decode(body).trigger
    except _BAD_JSON:
        return MalformedMessage(f"no event of the bridge: {error}", body)
    if trigger not in tuple(Trigger):
        return UnknownTrigger(trigger, body)
    return MalformedMessage(f"no {trigger} event of the bridge: {error}", body)
