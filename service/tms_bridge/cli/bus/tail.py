"""The command `tail`: events as they arrive, shown, kept, or posted to a developer as CloudEvents."""

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp
import click
import msgspec

from tms_bridge.broker.consumer import Delivery, listen
from tms_bridge.cli.bus.broker import bindings_option, open_broker
from tms_bridge.cli.bus.saved import ATTRIBUTE, HandlerAnswer, Redaction, SavedEvent, save, saved_event
from tms_bridge.cli.event_loop import run_async
from tms_bridge.cli.output import Output, common_options, load, note, visible
from tms_bridge.cli.program import DONE, NO
from tms_bridge.settings.model import Amqp

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


class _Wish(msgspec.Struct, frozen=True):
    """What is to be done with each event, beside showing it."""

    redaction: Redaction
    directory: Path | None
    url: str | None
    mode: ContentMode


@click.command()
@common_options
@bindings_option
@click.option(
    "--exchange", metavar="NAME", help="An exchange other than amqp.exchange, such as tms.quarantine."
)
@click.option("--count", "limit", type=click.IntRange(1), metavar="N", help="End after so many events.")
@click.option(
    "--save",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep each event in a file of its own there, as --json prints it; simulate --from plays them.",
)
@click.option("--forward", "url", metavar="URL", help="Post each event there as a CloudEvent, one at a time.")
@click.option(
    "--mode",
    type=click.Choice(ContentMode, case_sensitive=False),
    default=ContentMode.STRUCTURED,
    show_default="structured",
    help="How --forward sends it: attributes and event in one document, or the attributes in headers.",
)
@click.option(
    "--omit",
    "omitted",
    multiple=True,
    metavar="MEMBER",
    help="Leave this member out of the body, at any depth, such as payload; may be given several times.",
)
@click.option(
    "--replace",
    "replaced",
    multiple=True,
    metavar="MEMBER",
    help="Put another value in its place, such as name; headers stay as they are.",
)
def tail(  # noqa: PLR0913 - a flag each
    *,
    config: Path,
    out: Output,
    bindings: tuple[str, ...],
    exchange: str | None,
    limit: int | None,
    directory: Path | None,
    url: str | None,
    mode: ContentMode,
    omitted: tuple[str, ...],
    replaced: tuple[str, ...],
) -> int:
    """Show events as they arrive on the bus.

    It has a queue of its own, which takes nothing from other consumers and is gone when it ends. With --json
    each event is a line, with routing key, properties, headers and body. Exits 1 if --forward got another
    answer than 2xx.

    \b
    Examples:
      tms-bridge tail
      tms-bridge tail --binding 'tms.class.*' --binding 'tms.*.completed' --json
      tms-bridge tail --save events/ --replace name --replace description
      tms-bridge tail --forward http://127.0.0.1:3000/events
    """  # noqa: D301 - \b is how click is told to keep line breaks
    if url is not None and not url.startswith(("http://", "https://")):
        raise click.BadParameter("write it with http:// or https:// before it", param_hint="--forward")
    amqp = load(config).amqp
    if directory is not None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    wish = _Wish(Redaction.of(omitted, replaced), directory, url, mode)
    return run_async(_tail(_listen(amqp, exchange or amqp.exchange, bindings), limit, wish, out))


async def _listen(amqp: Amqp, exchange: str, bindings: Sequence[str]) -> AsyncGenerator[Delivery, None]:
    def announce() -> None:
        note(f"listening to {exchange} for {', '.join(bindings)}; Ctrl-C ends it")

    async with (
        open_broker(amqp) as session,
        contextlib.aclosing(listen(session, exchange, bindings, announce)) as deliveries,
    ):
        async for delivery in deliveries:
            yield delivery


async def _tail(
    deliveries: AsyncGenerator[Delivery, None], limit: int | None, wish: _Wish, out: Output
) -> int:
    code, number = DONE, 0
    async with contextlib.aclosing(deliveries), aiohttp.ClientSession() as http:
        async for delivery in deliveries:
            number += 1
            event = saved_event(delivery, wish.redaction)
            if wish.directory is not None:
                save(event, wish.directory, number)
            if wish.url is not None:
                answer = await forward(http, wish.url, wish.mode, event)
                event = msgspec.structs.replace(event, handler=answer)
                code = code if answer.ok else NO
            _show(out, event)
            if number == limit:
                break
    return code


def _show(out: Output, event: SavedEvent) -> None:
    if out.as_json:
        out.line(event)
    else:
        out.text(_line(event))


def _line(event: SavedEvent) -> str:
    parts = (
        event.headers.get("cloudEvents_time") or event.properties.get("timestamp"),
        event.routing_key,
        event.headers.get("cloudEvents_subject"),
        event.headers.get("cloudEvents_source"),
        event.id,
        "replayed" if event.headers.get("tms-replayed") else None,
        _answer(event),
    )
    return visible("  ".join(str(part) for part in parts if part))


def _answer(event: SavedEvent) -> str | None:
    answer = event.handler
    if answer is msgspec.UNSET:
        return None
    return f"{answer.http_status or answer.error} after {answer.took_ms:g} ms"
