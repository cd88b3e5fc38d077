"""An event as people keep it: what `tail` prints, saves and hands on, and `simulate` plays again."""

import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import msgspec

from tms_bridge.broker.consumer import Delivery

PROPERTIES: Final = ("message_id", "type", "content_type", "timestamp", "delivery_mode", "app_id")
ATTRIBUTE: Final = "cloudEvents_"
"""How the AMQP binding of CloudEvents begins its headers."""

_NAME: Final = re.compile(r"[\w-]{1,100}")
_EXACT: Final = msgspec.json.Decoder(float_hook=Decimal)
_DIGITS: Final = msgspec.json.Encoder(decimal_format="number")


class HandlerAnswer(msgspec.Struct, frozen=True):
    """What a developer's handler answered to an event: a status or an error, and after how long."""

    http_status: int | None
    error: str | None
    took_ms: float

    @property
    def ok(self) -> bool:
        """Whether it was a 2xx."""
        return self.http_status is not None and self.http_status // 100 == 2  # noqa: PLR2004 - the class of a 2xx


class SavedEvent(msgspec.Struct, frozen=True):
    """A line of `--json`, and a file of `--save`; `body` is the decoded JSON, or Base64 where it is none."""

    routing_key: str
    exchange: str
    redelivered: bool
    properties: dict[str, object]
    headers: dict[str, object]
    body: msgspec.Raw | bytes
    handler: HandlerAnswer | msgspec.UnsetType = msgspec.UNSET

    @property
    def id(self) -> str:
        """The event's id, or the quarantine id."""
        return str(self.properties.get("message_id", ""))


class Redaction(msgspec.Struct, frozen=True):
    """Which members of a body are left out, and which values are replaced, at any depth.

    Names are compared without case and underscores, so that one name means the typed member and the sender's.
    """

    omitted: frozenset[str]
    replaced: frozenset[str]

    @classmethod
    def of(cls, omitted: Sequence[str], replaced: Sequence[str]) -> "Redaction":
        """Make one of the names as they were typed."""
        return cls(frozenset(map(_plain, omitted)), frozenset(map(_plain, replaced)))

    def of_body(self, body: msgspec.Raw | bytes) -> msgspec.Raw | bytes:
        """Return a body without what must not be told; one that is no JSON is left out as a whole."""
        if not (self.omitted or self.replaced):
            return body
        if not isinstance(body, msgspec.Raw):
            return b""
        return msgspec.Raw(_DIGITS.encode(self._of(_EXACT.decode(body))))

    def _of(self, value: object, *, replace: bool = False) -> object:
        if isinstance(value, dict):
            return {
                name: self._of(member, replace=replace or _plain(name) in self.replaced)
                for name, member in value.items()
                if _plain(name) not in self.omitted
            }
        if isinstance(value, list):
            return [self._of(one, replace=replace) for one in value]
        return _replaced(value) if replace else value


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _replaced(value: object) -> object:
    """Return another value of the same kind."""
    if isinstance(value, str):
        return "replaced"
    return value if value is None or isinstance(value, bool) else 0


def saved_event(delivery: Delivery, redaction: Redaction) -> SavedEvent:
    """Return a delivery as people keep it."""
    fields = msgspec.structs.asdict(delivery)
    properties = {name: fields[name] for name in PROPERTIES if fields[name] not in (None, "")}
    return SavedEvent(
        delivery.routing_key,
        delivery.exchange,
        delivery.redelivered,
        properties,
        delivery.headers,
        redaction.of_body(_json(delivery.body)),
    )


def _json(body: bytes) -> msgspec.Raw | bytes:
    """Return JSON on one line, digit for digit; what is no JSON stays bytes."""
    try:
        msgspec.json.decode(body)
        return msgspec.Raw(msgspec.json.format(body, indent=-1))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return body


def save(event: SavedEvent, directory: Path, number: int) -> Path:
    """Write an event into a file that its owner alone may read, named by its id; a copy takes its place."""
    name = event.id if _NAME.fullmatch(event.id) else f"{number:06}"
    path = directory / f"{name}.json"
    text = msgspec.json.format(msgspec.json.encode(event), indent=2) + b"\n"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - a mode
        file.write(text)
    return path


class _Body(msgspec.Struct):
    trigger: Literal["class", "course_assignment"]
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _File(msgspec.Struct):
    routing_key: str
    properties: Mapping[str, object]
    headers: Mapping[str, object]
    body: _Body


class SenderBody(msgspec.Struct, frozen=True):
    """What the sender sent of an event; `body` is None where the event came without its payload."""

    trigger: str
    body: bytes | None


def sender_body(content: bytes) -> SenderBody | None:
    """Read a file of `tail --save`; None: it is none."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    payload = file.body.payload
    return SenderBody(file.body.trigger, None if payload is msgspec.UNSET else bytes(payload))
