"""How sure the bridge is of what it read."""

from typing import Final

import msgspec


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a consumer should know before it trusts the typed entity; all names are fields of that entity.

    The JSON member is absent where there is nothing to say, and so is each of its lists.

    Attributes:
        unread: the body holds a value that the bridge could not read; the field is None, and the value stands
            in the event's `payload`.
        assumed: the body told a time without an offset from UTC. It was resolved in the class's own
            `time_zone` where the body names one that is known, else taken as UTC.
        days: the body told a day and no time. The moment is the midnight that begins the day in the class's
            `time_zone` where it is known, else in UTC; in that zone its date is the day. Each is in `assumed`
            as well.
    """

    unread: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    days: tuple[str, ...] = ()


NOTHING_TO_SAY: Final = Reading()
"""The reading of a body that held no surprise: the value that an event has by default, and does not send."""
