"""The admin listener's routes, and the one place that makes problems of errors there."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from tms_bridge.errors import BridgeError, MethodNotAllowed, UnknownPath
from tms_bridge.listener.answer import Answer, answer_problem
from tms_bridge.listener.health import PROBES, Health
from tms_bridge.listener.marks import mark
from tms_bridge.log import Logger
from tms_bridge.metrics import Metrics

HEALTH: Final = web.AppKey("health", Health)
METRICS: Final = web.AppKey("metrics", Metrics)
LOGGER: Final = web.AppKey("logger", Logger)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(health: Health, metrics: Metrics, logger: Logger) -> web.Application:
    """Return the application of the admin listener."""
    app = web.Application(middlewares=[problems])
    app[HEALTH], app[METRICS], app[LOGGER] = health, metrics, logger
    for path in PROBES:
        app.router.add_get(path, probe)
    app.router.add_get("/metrics", scrape)
    return app


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem, and mark every answer with its request id."""
    request_id = mark(None).request_id
    try:
        response = await handler(request)
    except (BridgeError, web.HTTPException) as error:
        response = _response(answer_problem(_named(error), request_id))
    except Exception as error:  # noqa: BLE001 - a defect must not cost the caller an answer; logged
        request.app[LOGGER].error("defect", request_id=request_id, path=request.path, exc_info=error)
        response = _response(answer_problem(error, request_id))
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
    return response


async def probe(request: web.Request) -> web.StreamResponse:
    """Answer a probe."""
    return _response(request.app[HEALTH].probe(request.path))


async def scrape(request: web.Request) -> web.StreamResponse:
    """Answer Prometheus."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    body = encode(request.app[METRICS].registry)
    return web.Response(body=body, headers={"Content-Type": content_type})


def _named(error: BridgeError | web.HTTPException) -> BridgeError | web.HTTPException:
    """Return aiohttp's own refusals in our words."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allow = ", ".join(sorted(error.allowed_methods))
        return MethodNotAllowed(f"This path takes {allow}.", allow=allow)
    if isinstance(error, web.HTTPNotFound):
        return UnknownPath("There is no such path here; /api/v1/openapi.json describes what there is.")
    return error


def _response(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
