"""Where a webhook goes: its path leads to a source and a trigger with all that was prepared for them.

Everything that a request needs of the configuration is computed here once, and replaced as a whole by a
reload.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from tms_bridge.message import Message
from tms_bridge.web.door import Door

TRIGGERS: Final[Mapping[str, str]] = {
    "course-assignment-changed": "course_assignment",
    "class-changed": "class",
}
"""Last part of the path -> trigger."""


class Arrival(msgspec.Struct, frozen=True):
    """What decoding needs to know of a body beside its bytes."""

    id: str
    received_at_us: int
    digest: str
    traceparent: str


class Digest:
    """Hex BLAKE2b-256 of source, NUL, trigger, NUL, body; the first four are hashed once."""

    def __init__(self, source: str, trigger: str) -> None:
        self._begun = hashlib.blake2b(f"{source}\0{trigger}\0".encode(), digest_size=32)

    def of(self, body: bytes) -> str:
        """Return the digest of one body."""
        digest = self._begun.copy()
        digest.update(body)
        return digest.hexdigest()


class Route(msgspec.Struct, frozen=True):
    """One webhook URL.

    Attributes:
        door: judges address and credentials.
        digest: names equal bodies alike.
        decode: makes the message of an event; raises Undecodable.
        quarantine: makes the message of a body that could not be decoded, for the reason given.
    """

    source: str
    trigger: str
    door: Door
    digest: Digest
    decode: Callable[[bytes, Arrival], Message]
    quarantine: Callable[[bytes, Arrival, str], Message]

    @property
    def path(self) -> str:
        """The path of its URL."""
        part = next(part for part, trigger in TRIGGERS.items() if trigger == self.trigger)
        return f"/webhooks/{self.source}/{part}"


class Routes:
    """All webhook URLs by path."""

    def __init__(self, routes: list[Route]) -> None:
        self._by_path = {route.path: route for route in routes}

    def find(self, raw_path: str) -> Route | None:
        """Return the route of a path as it stood in the request line, also where that is percent-encoded."""
        route = self._by_path.get(raw_path)
        if route is None and "%" in raw_path:
            return self._by_path.get(unquote(raw_path, errors="replace"))
        return route
