"""From a message body to its struct."""

import msgspec

from tms_events.errors import MalformedMessage, MessageError, UnknownTrigger
from tms_events.event import Event
from tms_events.trigger import Trigger


class _Trigger(msgspec.Struct):
    trigger: str


class _Status(msgspec.Struct):
    status: str


_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_triggers = msgspec.json.Decoder(_Trigger)
_statuses = msgspec.json.Decoder(_Status)


def decode(body: bytes | bytearray | memoryview) -> Event:
    """Return the event that a message body holds, as the struct of its trigger.

    Members that this version does not know are ignored. A status that it does not know becomes `unknown`,
    and `raw_status` then holds the sender's word or else the status as the message had it.

    Raises:
        UnknownTrigger: the event is of a trigger that came after this version.
        MalformedMessage: the body is no event of the bridge; the text says what is wrong and where.
    """
    try:
        event = _events.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _error(bytes(body), error) from error
    if event.status == "unknown" and event.raw_status is None:
        return _keep_word(event, body)
    return event


def _keep_word(event: Event, body: bytes | bytearray | memoryview) -> Event:
    word = _statuses.decode(body).status
    return event if word == "unknown" else msgspec.structs.replace(event, raw_status=word)


def _error(body: bytes, error: Exception) -> MessageError:
    try:
        trigger = _triggers.decode(body).trigger
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return MalformedMessage(f"no event of the bridge: {error}", body)
    if trigger not in tuple(Trigger):
        return UnknownTrigger(trigger, body)
    return MalformedMessage(f"no {trigger} event of the bridge: {error}", body)
