"""Posts events to a developer's own machine, as CloudEvents over HTTP, and tells what was answered."""

import time
from enum import StrEnum
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec

from tms_bridge.cli.saved import ATTRIBUTE, HandlerAnswer, SavedEvent

TIMEOUT_S: Final = 30.0
STRUCTURED_TYPE: Final = "application/cloudevents+json"

_EXTENSIONS: Final = {
    "traceparent": "traceparent",
    "tms-digest": "tmsdigest",
    "tms-replayed": "tmsreplayed",
}
"""Headers that are no CloudEvents attributes, by the names that the specification allows."""

_UNQUOTED: Final = "".join(letter for letter in map(chr, range(0x21, 0x7F)) if letter not in '"%')


class ContentMode(StrEnum):
    """Where the attributes of a CloudEvent stand: beside the event in one JSON document, or in headers."""

    STRUCTURED = "structured"
    BINARY = "binary"


async def forward(
    http: aiohttp.ClientSession, url: str, mode: ContentMode, event: SavedEvent
) -> HandlerAnswer:
    """Post one event, and return what came back; a handler that is not there is an answer too."""
    headers, body = request_of(event, mode)
    began = time.perf_counter()
    http_status = error = None
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with http.post(
            url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            await answer.read()
            http_status = answer.status
    except TimeoutError:
        error = f"no answer within {TIMEOUT_S:g} s"
    except (aiohttp.ClientError, OSError) as failure:
        error = str(failure) or type(failure).__name__
    return HandlerAnswer(http_status, error, round((time.perf_counter() - began) * 1000, 1))


def request_of(event: SavedEvent, mode: ContentMode) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the request that carries an event."""
    attributes = attributes_of(event)
    content_type = str(event.properties.get("content_type", "application/octet-stream"))
    body = bytes(event.body)
    if mode is ContentMode.BINARY:
        headers = {f"ce-{name}": quote(_text(value), safe=_UNQUOTED) for name, value in attributes.items()}
        return headers | {"Content-Type": content_type}, body
    data = {"data": event.body} if isinstance(event.body, msgspec.Raw) else {"data_base64": body}
    document = {**attributes, "datacontenttype": content_type, **data}
    return {"Content-Type": STRUCTURED_TYPE}, msgspec.json.encode(document)


def attributes_of(event: SavedEvent) -> dict[str, object]:
    """Return the attributes of an event; what is in quarantine has none of its own but an id and a type."""
    told = {
        name.removeprefix(ATTRIBUTE): value
        for name, value in event.headers.items()
        if name.startswith(ATTRIBUTE)
    }
    extensions = {_EXTENSIONS[name]: value for name, value in event.headers.items() if name in _EXTENSIONS}
    own = {
        "specversion": "1.0",
        "id": event.id or "none",
        "type": str(event.properties.get("type") or "none"),
        "source": "/tms",
    }
    return own | told | extensions


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
