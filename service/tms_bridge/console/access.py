"""Who may look: the middleware before every page, and signing in and out.

A cookie opens pages and their stream, never the API. Without a token the console is for this machine alone,
and then the host's name must be that of this machine, so that no name that somebody else chose leads here.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from aiohttp import web

from tms_bridge.admin.guard import ANYBODY, HOLDER, Guard, Holder, is_of_this_machine
from tms_bridge.console.frame import BOARD, COOKIE, FRAME, SECURE_COOKIE, Board, cookie_of, theme_of
from tms_bridge.console.sessions import LIFE_S

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GUARD: Final = web.AppKey("console_guard", Guard)
MAX_FORM_BYTES: Final = 8 * 1024
MAX_BODY_BYTES: Final = 300 * 1024
"""Of the form that takes a captured body."""

_NO_SITE: Final = frozenset({"same-origin", "none"})
_COOKIE_S: Final = 365 * 86_400
_CHOICES: Final = {"theme": {"dark", "light"}, "keys": {"on", "off"}}


def may_post(request: web.Request) -> bool:
    """Return whether a form was sent by a page of ours, as far as the browser tells."""
    origin = request.headers.get("Origin")
    if origin is not None:
        return urlsplit(origin).netloc == request.host
    return request.headers.get("Sec-Fetch-Site", "same-origin") in _NO_SITE


async def form_of(request: web.Request, limit: int = MAX_FORM_BYTES) -> Mapping[str, str]:
    """Return a form that one of our pages made for this session and path.

    Raises:
        HTTPForbidden: it comes from elsewhere, or its seal is none of ours.
        HTTPRequestEntityTooLarge: it is longer than any of ours.
    """
    if not may_post(request):
        raise web.HTTPForbidden(text="This form was not sent by a page of this console.")
    size = request.content_length or 0
    if size > limit:
        raise web.HTTPRequestEntityTooLarge(limit, size)
    form = {name: str(value) for name, value in (await request.post()).items()}
    board = request.app[BOARD]
    if not board.sessions.is_sealed(cookie_of(request), request.path, form.get("csrf", "")):
        raise web.HTTPForbidden(
            text="This form is too old, or was not made here. Go back, reload, send it again."
        )
    return form


def holder_of(request: web.Request) -> Holder | None:
    """Return who looks; None: nobody is signed in."""
    guard, board = request.app[GUARD], request.app[BOARD]
    if guard.is_open:
        return ANYBODY
    return board.sessions.find(cookie_of(request), time.monotonic())


def admitted(handler: Handler) -> Handler:
    """Return a handler that is called for those who may look, and leads others to sign in."""

    async def answer(request: web.Request) -> web.StreamResponse:
        refuse_strange_host(request)
        holder = holder_of(request)
        if holder is None:
            raise web.HTTPSeeOther(f"/sign-in?next={quote(request.path_qs, safe='/')}")
        request[HOLDER] = holder
        response = await handler(request)
        _keep_choices(request, response)
        return response

    return answer


def refuse_strange_host(request: web.Request) -> None:
    """Refuse a request without a token that names this machine by another name than its own.

    Raises:
        HTTPMisdirectedRequest: it does.
    """
    guard = request.app[GUARD]
    if guard.is_open and not is_of_this_machine(request):
        raise web.HTTPMisdirectedRequest(
            text="Without a token the console is for http://localhost alone; set admin.token for more."
        )


async def show_sign_in(request: web.Request) -> web.StreamResponse:
    """Show the form for a token."""
    if request.app[GUARD].is_open:
        raise web.HTTPSeeOther("/")
    return _sign_in_page(request, request.query.get("next", "/"))


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Begin a session for whoever has a token."""
    if not may_post(request):
        raise web.HTTPForbidden(text="This form was not sent by a page of this console.")
    board, now = request.app[BOARD], time.monotonic()
    form = await request.post()
    address, next_page = request.remote or "", str(form.get("next", "/"))
    if board.tries.left(address, now) <= 0:
        hint = "Wait a minute, then try again."
        return _sign_in_page(request, next_page, "Too many tries.", hint, status=429)
    holder = request.app[GUARD].holder_of(str(form.get("token", "")).strip())
    if holder is None:
        board.tries.note(address, now)
        left = board.tries.left(address, now)
        hint = f"A space or a line end at its edge is ignored. {left} tries are left in this minute."
        return _sign_in_page(request, next_page, "That is not one of the tokens.", hint, status=401)
    _audit(request, board, holder, "sign in")
    response = web.HTTPSeeOther(next_page if _is_ours(next_page) else "/")
    _set_cookie(request, response, board.sessions.sign_in(holder, now))
    raise response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """End a session."""
    await form_of(request)
    request.app[BOARD].sessions.sign_out(cookie_of(request))
    response = web.HTTPSeeOther("/sign-in")
    response.del_cookie(SECURE_COOKIE if request.secure else COOKIE, path="/")
    raise response


def _sign_in_page(
    request: web.Request, next_page: str, error: str = "", hint: str = "", *, status: int = 200
) -> web.Response:
    parts = {
        "replica": request.app[BOARD].replica,
        "next": next_page if _is_ours(next_page) else "/",
        "error": error,
        "hint": hint,
        "theme": theme_of(request),
    }
    return request.app[FRAME].bare(request, "sign-in.html", parts, status)


def _is_ours(page: str) -> bool:
    """Return whether an address leads to a page of this console and nowhere else."""
    return page.startswith("/") and not page.startswith(("//", "/\\"))


def _set_cookie(request: web.Request, response: web.StreamResponse, value: str) -> None:
    response.set_cookie(
        SECURE_COOKIE if request.secure else COOKIE,
        value,
        max_age=int(LIFE_S),
        path="/",
        secure=request.secure,
        httponly=True,
        samesite="Strict",
    )


def _keep_choices(request: web.Request, response: web.StreamResponse) -> None:
    """Remember a theme, or that single keys are off, in a cookie of its own."""
    if response.prepared:
        return
    for name, words in _CHOICES.items():
        word = request.query.get(name)
        if word in words:
            response.set_cookie(name, word, max_age=_COOKIE_S, path="/", httponly=True, samesite="Strict")


def _audit(request: web.Request, board: Board, holder: Holder, deed: str) -> None:
    board.logger.warning("audit", deed=deed, token=holder.name, peer=request.remote)


def audit(request: web.Request, deed: str, row_id: str, why: str = "") -> None:
    """Note who did what to which row, from where."""
    told = {"why": why[:200]} if why else {}
    request.app[BOARD].logger.warning(
        "audit",
        deed=deed,
        id=row_id,
        token=request[HOLDER].name or "none",
        peer=request.remote,
        via="console",
        **told,
    )
