"""Where a webhook goes: its path leads to a source and a trigger with all that was prepared for them.

Everything that a request needs of the configuration is computed here once, and replaced as a whole by a
reload.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from tms_bridge.ingest import Rules, reread, rules_of
from tms_bridge.message import Message
from tms_bridge.settings.model import Http, Source
from tms_bridge.web.door import Door
from tms_events import Trigger

PATHS: Final[Mapping[Trigger, str]] = {
    Trigger.COURSE_ASSIGNMENT: "course-assignment-changed",
    Trigger.CLASS: "class-changed",
}
"""The last part of a webhook's path, by trigger."""


class Route(msgspec.Struct, frozen=True):
    """One webhook URL.

    Attributes:
        source: whose it is.
        trigger: which trigger event it stands for.
        door: judges address and credentials.
        rules: how its bodies are understood.
    """

    source: str
    trigger: str
    door: Door
    rules: Rules


class Routes:
    """All webhook URLs by path.

    Raises:
        SettingsError: a source's fields or prefix cannot be used.
    """

    def __init__(self, http: Http, sources: Mapping[str, Source]) -> None:
        self._by_path = dict(_routes(http, sources))

    def find(self, raw_path: str) -> Route | None:
        """Return the route of a path as it stood in the request line, also where that is percent-encoded."""
        route = self._by_path.get(raw_path)
        if route is None and "%" in raw_path:
            return self._by_path.get(unquote(raw_path, errors="replace"))
        return route

    def reread(self, message: Message, trigger: str = "") -> Message:
        """Return the event that a quarantined body is by the rules of now, as `ingest.reread` does."""
        rules = {(route.source, route.trigger): route.rules for route in self._by_path.values()}
        return reread(message, rules, trigger)


def _routes(http: Http, sources: Mapping[str, Source]) -> Iterator[tuple[str, Route]]:
    for name, source in sources.items():
        door = Door(http, name, source)
        for trigger, rules in rules_of(name, source).items():
            yield f"/webhooks/{name}/{PATHS[trigger]}", Route(name, trigger.value, door, rules)
