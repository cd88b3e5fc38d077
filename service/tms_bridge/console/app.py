"""The console's routes, and the one place that makes pages of its errors."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from tms_bridge.admin.guard import HOLDER, Guard
from tms_bridge.console import access, bridge, pages, quarantine, stream
from tms_bridge.console.access import GUARD, Handler, admitted
from tms_bridge.console.frame import BOARD, FRAME, Board, Frame
from tms_bridge.errors import BridgeError
from tms_bridge.http.answer import kind_of

_FOR_ALL: Final = (
    ("GET", "/", pages.overview),
    ("GET", "/calls", pages.calls),
    ("GET", "/calls/{id}", pages.call),
    ("GET", "/events/{id}", pages.event),
    ("GET", "/plots", pages.plots),
    ("GET", "/keys", pages.keys),
    ("GET", "/sources/{name}", bridge.source),
    ("POST", "/sources/{name}/explain", bridge.explain),
    ("GET", "/stream", stream.stream),
    ("POST", "/sign-out", access.sign_out),
)
_FOR_OPERATORS: Final = (
    ("POST", "/events/{id}/message", pages.open_message),
    ("GET", "/outbox", bridge.outbox),
    ("POST", "/outbox/{id}/retry", bridge.retry),
    ("POST", "/outbox/{id}/drop", bridge.drop),
    ("GET", "/topology", bridge.topology),
    ("GET", "/topology/replay", bridge.confirm_replay),
    ("POST", "/topology/replay", bridge.replay_unroutable),
    ("POST", "/sources/{name}/test", bridge.send_test),
    ("GET", "/configuration", bridge.configuration),
    ("GET", "/quarantine", quarantine.listed),
    ("GET", "/quarantine/{id}", quarantine.shown),
    ("POST", "/quarantine/{id}/body", quarantine.open_body),
    ("POST", "/quarantine/{id}/try", quarantine.try_pointers),
    ("POST", "/quarantine/{id}/replay", quarantine.replay),
    ("POST", "/quarantine/{id}/release", quarantine.release),
    ("POST", "/quarantine/{id}/drop", quarantine.drop),
)
"""What a viewer is not told of: 404, as for a page that does not exist."""


def mount(app: web.Application, board: Board, guard: Guard) -> None:
    """Add the console to the admin listener's application."""
    app[BOARD], app[GUARD], app[FRAME] = board, guard, Frame(app)
    for method, path, handler in _FOR_ALL:
        app.router.add_route(method, path, admitted(_paged(handler)))
    for method, path, handler in _FOR_OPERATORS:
        app.router.add_route(method, path, admitted(_paged(_for_operators(handler))))
    app.router.add_get("/sign-in", access.show_sign_in)
    app.router.add_post("/sign-in", access.sign_in)
    app.middlewares.append(_strange)


@web.middleware
async def _strange(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what leads nowhere with a page where a person asks for one.

    A route that takes every path would do so too, but there would be no wrong method any more.
    """
    nowhere = isinstance(request.match_info.http_exception, web.HTTPNotFound)
    if nowhere and "text/html" in request.headers.get("Accept", ""):
        return await admitted(_paged(_nowhere))(request)
    return await handler(request)


async def _nowhere(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


def _for_operators(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        if not request[HOLDER].is_operator:
            raise web.HTTPNotFound
        return await handler(request)

    return answer


def _paged(handler: Handler) -> Handler:
    """Make a page of an error, which says what happened and leads home."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPRedirection:
            raise
        except web.HTTPException as error:
            return _problem(request, error.status, error.text or "")
        except BridgeError as error:
            return _problem(request, kind_of(error).status, str(error))

    return answer


def _problem(request: web.Request, status: int, detail: str) -> web.StreamResponse:
    heading = HTTPStatus(status).phrase
    if status == HTTPStatus.NOT_FOUND:
        heading, detail = "There is no such page", detail if ":" not in detail else ""
    parts = {"title": heading, "heading": heading, "detail": detail}
    return request.app[FRAME].page(request, "problem.html", parts, status)
