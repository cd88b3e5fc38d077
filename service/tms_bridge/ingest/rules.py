"""What a source's settings say about its bodies, prepared once."""

import msgspec

from tms_bridge.errors import SettingsError
from tms_bridge.ingest.fields import names_of
from tms_bridge.ingest.members import Pointer, parse_pointer
from tms_bridge.settings.model import Source
from tms_events import STATUSES, Trigger, topic


class Rules(msgspec.Struct, frozen=True):
    """How one source's bodies of one trigger are understood.

    Attributes:
        source: the source's name.
        trigger: the trigger of the path that the body came to.
        derive_status: whether dates may tell a course assignment's status.
        pointers: where the source says that fields lie.
        routing_keys: the key of each status.
        omits_payload: whether messages go without the sender's JSON value.
        trigger_word: the trigger as it goes into the message.
    """

    source: str
    trigger: Trigger
    derive_status: bool
    pointers: dict[str, Pointer]
    routing_keys: dict[str, str]
    omits_payload: bool
    trigger_word: str


def rules_of(name: str, source: Source) -> dict[Trigger, Rules]:
    """Return the rules of a source for each trigger.

    Raises:
        SettingsError: its fields or its routing key prefix cannot be used.
    """
    for trigger in source.fields:
        if trigger not in tuple(Trigger):
            raise SettingsError(
                f"sources.{name}.fields.{trigger}: there is no such trigger; write class or course_assignment"
            )
    return {trigger: _rules(name, source, trigger) for trigger in Trigger}


def _rules(name: str, source: Source, trigger: Trigger) -> Rules:
    pointers = {
        field: _pointer(f"sources.{name}.fields.{trigger}.{field}", field, text, trigger)
        for field, text in source.fields.get(trigger, {}).items()
    }
    keys = _routing_keys(name, source, trigger)
    return Rules(name, trigger, source.derive_status, pointers, keys, source.payload == "omit", trigger.value)


def _pointer(key: str, field: str, text: str, trigger: Trigger) -> Pointer:
    if field not in names_of(trigger):
        raise SettingsError(f"{key} is no field of a {trigger}; there are {', '.join(names_of(trigger))}")
    try:
        return parse_pointer(text)
    except SettingsError as error:
        raise SettingsError(f"{key}: {error}") from None


def _routing_keys(name: str, source: Source, trigger: Trigger) -> dict[str, str]:
    prefix = source.routing_key_prefix
    try:
        return {str(status): topic(trigger, status, prefix) for status in STATUSES[trigger]}
    except ValueError as error:
        raise SettingsError(f"sources.{name}.routing_key_prefix: {error}") from None
