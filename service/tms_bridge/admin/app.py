"""The admin listener's routes, and the one place that makes problems of errors there."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tms_bridge.admin.context import CONTEXT, Context
from tms_bridge.admin.follow import TICKS, Ticks
from tms_bridge.admin.guard import HOLDER, Guard, Holder
from tms_bridge.admin.openapi import PREFIX, describe
from tms_bridge.admin.operations import OPERATIONS, Operation
from tms_bridge.auth import Throttle
from tms_bridge.errors import BridgeError, Forbidden, MethodNotAllowed, Unauthorized, UnknownPath
from tms_bridge.http.answer import Answer, answer_problem, kind_of
from tms_bridge.http.health import PROBES
from tms_bridge.http.ids import mark
from tms_bridge.http.server import Connection
from tms_bridge.http.strangers import Strangers, cut
from tms_bridge.outbox.operators import Done, Imported
from tms_bridge.outbox.rows import Row

_SHOWN: Final = 200

SCRAPES_AT_ONCE: Final = 50
"""How many pages of metrics are written one right after the other."""

_SCRAPE_EVERY_S: Final = 0.25
"""After so long there may be another one."""

THROTTLE: Final = web.AppKey("throttle", Throttle)
SCRAPES: Final = web.AppKey["Scrapes"]("scrapes")
STRANGERS: Final = web.AppKey("requests from strangers", Strangers)
GUARD: Final = web.AppKey("guard", Guard)
REQUEST_ID: Final = web.RequestKey("request_id", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(context: Context, guard_of_api: Guard) -> web.Application:
    """Return the application of the admin listener; the guard may be told of new tokens later."""
    app = web.Application(middlewares=[problems, guard])
    app[CONTEXT], app[GUARD] = context, guard_of_api
    app[SCRAPES], app[TICKS] = Scrapes(context.metrics.registry), Ticks(context.calls)
    app[THROTTLE], app[STRANGERS] = Throttle(), Strangers("admin", context.logger)
    for path in PROBES:
        app.router.add_get(path, probe)
    app.router.add_get("/metrics", scrape)
    app.router.add_get(f"{PREFIX}/openapi.json", show_description)
    for operation in OPERATIONS:
        for method in _methods(operation):
            app.router.add_route(method, PREFIX + operation.path, _as_response(operation))
    return app


def _methods(operation: Operation) -> Sequence[str]:
    """Return by which methods it is asked for: what is read as a whole may be asked for its head alone."""
    whole = operation.method == "GET" and not isinstance(operation.answer, str)
    return ("GET", "HEAD") if whole else (operation.method,)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem, and mark every answer with its request id."""
    request_id = request[REQUEST_ID] = mark(None).request_id
    try:
        response = await handler(request)
    except (BridgeError, web.HTTPException) as error:
        named = _named(error)
        if not isinstance(named, BridgeError):  # a redirection, or the console's own refusal
            raise
        response = _response(answer_problem(named, request_id))
    except Exception as error:  # noqa: BLE001 - a defect must not cost the caller an answer; logged
        request.app[CONTEXT].logger.error("defect", request_id=request_id, path=request.path, exc_info=error)
        response = _response(answer_problem(error, request_id))
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
    return response


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let only those use the API who may; probes and metrics are for everyone who reaches the listener."""
    if request.path.startswith(PREFIX):
        try:
            request[HOLDER] = request.app[GUARD].check(request)
        except (Unauthorized, Forbidden) as refused:
            await _turn_away(request, refused)
        if isinstance(request.protocol, Connection):
            request.protocol.prove()
    return await handler(request)


async def _turn_away(request: web.Request, refused: Unauthorized | Forbidden) -> NoReturn:
    """Refuse a caller, the later the more wrong tokens came from there; count it and log it.

    Raises:
        Throttled, Unauthorized, Forbidden: always.
    """
    app, address, now = request.app, request.remote or "", asyncio.get_running_loop().time()
    refusal = app[THROTTLE].refusal(address, now) or refused
    if isinstance(refusal, Unauthorized):
        await asyncio.sleep(app[THROTTLE].strike(address, now))
    outcome = kind_of(refusal).slug
    app[CONTEXT].metrics.admin_refused.inc(outcome)
    if app[STRANGERS].is_new(address, outcome):
        app[CONTEXT].logger.warning(
            "admin refused",
            outcome=outcome,
            remote=address,
            method=cut(request.method, _SHOWN),
            path=cut(request.rel_url.raw_path, _SHOWN),
            request_id=request[REQUEST_ID],
            detail=str(refusal),
        )
    raise refusal


async def probe(request: web.Request) -> web.StreamResponse:
    """Answer a probe."""
    return _response(request.app[CONTEXT].health.probe(request.path))


async def scrape(request: web.Request) -> web.StreamResponse:
    """Answer Prometheus."""
    content_type, body = request.app[SCRAPES].page(request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


class Scrapes:
    """Writes the page of metrics, at most so often: in the milliseconds it takes no webhook is taken in."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._full_at = 0.0
        self._last = ("", b"")

    def page(self, accept: str) -> tuple[str, bytes]:
        """Return its content type and the page; the last one, of either type, while none may be written."""
        now = self._clock()
        used_s = max(self._full_at - now, 0.0)
        if used_s <= (SCRAPES_AT_ONCE - 1) * _SCRAPE_EVERY_S:
            self._full_at = now + used_s + _SCRAPE_EVERY_S
            encode, content_type = choose_encoder(accept)
            self._last = (content_type, encode(self._registry))
        return self._last


async def show_description(request: web.Request) -> web.StreamResponse:
    """Show the OpenAPI document."""
    return _response(Answer(200, describe(request.app[CONTEXT].version)))


def _as_response(operation: Operation) -> Handler:
    """Return a handler that answers with JSON, and notes in the audit log what it did."""

    async def answer(request: web.Request) -> web.StreamResponse:
        with _audited(request, operation.deed) as audit:
            _refuse_unless_theirs(request[HOLDER], operation)
            found = await operation.handler(request)
            audit.update(_told(found))
        if isinstance(found, web.StreamResponse):
            return found
        return _response(Answer(200, msgspec.json.encode(found), headers={"Cache-Control": "no-store"}))

    return answer


def _refuse_unless_theirs(holder: Holder, operation: Operation) -> None:
    """Refuse a viewer what is an operator's, and one of some sources what tells of more.

    Raises:
        Forbidden: it is not for this holder.
    """
    if operation.deed and not holder.is_operator:
        raise Forbidden(f"The token {holder.name} may only look: ask an operator to change or open anything.")
    if not (holder.sees_all or operation.narrowed):
        sources = ", ".join(sorted(holder.sources or ()))
        raise Forbidden(f"The token {holder.name} sees {sources} only; this covers the whole bridge.")


@contextmanager
def _audited(request: web.Request, deed: str) -> Iterator[dict[str, object]]:
    """Log who did what to which row, and what came of it; nothing where it is no deed."""
    audit: dict[str, object] = {"outcome": "broken off"}
    try:
        yield audit
        audit["outcome"] = "done"
    except BridgeError as error:
        audit["outcome"] = kind_of(error).slug
        raise
    finally:
        if deed:
            request.app[CONTEXT].logger.warning(
                "audit",
                deed=deed,
                on=request.path.removeprefix(PREFIX).split("/")[1],
                id=request.match_info.get("id", ""),
                token=request[HOLDER].name,
                peer=request.remote,
                request_id=request[REQUEST_ID],
                **audit,
            )


def _told(found: msgspec.Struct | web.StreamResponse) -> dict[str, object]:
    """Return what the audit log tells of an answer: never a body, but enough to know what is gone."""
    row = found.row if isinstance(found, Done) else found
    if isinstance(row, Row):
        names = ("state", "source", "trigger", "entity", "digest")
        return {name: getattr(row, name) for name in names}
    return msgspec.structs.asdict(found) if isinstance(found, Imported) else {}


def _named(error: BridgeError | web.HTTPException) -> BridgeError | web.HTTPException:
    """Return aiohttp's own refusals in our words."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allow = ", ".join(sorted(error.allowed_methods))
        return MethodNotAllowed(f"This path takes {allow}.", allow=allow)
    if isinstance(error, web.HTTPNotFound):
        return UnknownPath(f"There is no such path here; {PREFIX}/openapi.json describes what there is.")
    return error


def _response(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
