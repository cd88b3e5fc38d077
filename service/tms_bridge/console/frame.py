"""What is the same on every page: the frame around it, its headers, the theme, and the seals of its forms."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Final
from urllib.parse import urlencode

import aiohttp_jinja2
import jinja2
import msgspec
from aiohttp import web

from tms_bridge.admin.context import WATCHERS, Bus, Watchers
from tms_bridge.admin.guard import ANYBODY, HOLDER, Holder
from tms_bridge.calls import Calls
from tms_bridge.console import format as shown
from tms_bridge.console.sessions import Sessions, Tries
from tms_bridge.log import Logger
from tms_bridge.outbox.operators import Operators
from tms_bridge.settings.model import Settings
from tms_bridge.words.saying import About, Saying, kept_in, sayings
from tms_bridge.words.standing import Standing


class Board(msgspec.Struct, frozen=True):
    """The running bridge as the console sees it.

    Attributes:
        settings: the configuration in force.
        standing: how things stand now.
        operators: what may be done to the rows; None where nothing is kept.
        bus: what may be done to the bus.
        replica: the name of this one.
    """

    calls: Calls
    sessions: Sessions[Holder]
    tries: Tries
    settings: Callable[[], Settings]
    standing: Callable[[], Standing]
    operators: Operators | None
    bus: Bus
    logger: Logger
    watchers: Watchers
    replica: str
    version: str


BOARD: Final = web.AppKey("board", Board)


COOKIE: Final = "tms_bridge"
SECURE_COOKIE: Final = "__Host-tms_bridge"

_STATIC: Final = files("tms_bridge.console") / "static"
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types console",
    "X-Content-Type-Options": "nosniff",
    # Without a referrer Chromium posts forms with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_WORDS: Final = {"ok": "Well", "warn": "Look", "bad": "Act", "idle": "Waiting"}
_MORE: Final[Mapping[About, str]] = {
    "": "",
    "calls": "/calls?outcome=refused",
    "outbox": "/outbox",
    "quarantine": "/quarantine",
    "topology": "/topology",
    "configuration": "/configuration",
}
_PAGES: Final = (
    ("/", "Overview", False),
    ("/calls", "Calls", False),
    ("/outbox", "Outbox", True),
    ("/quarantine", "Quarantine", True),
    ("/topology", "Topology", True),
    ("/plots", "Plots", False),
    ("/configuration", "Configuration", True),
)
"""Path, name, and whether it is an operator's alone."""

_YEAR_S: Final = 365 * 86_400


class MenuLink(msgspec.Struct, frozen=True):
    """A page of the menu; `count` of its things wait for somebody."""

    path: str
    name: str
    count: int = 0


class Headline(msgspec.Struct, frozen=True):
    """The sentence with the word that stands in the title, so that a tab in the background tells.

    Attributes:
        path: the page that shows more of it; empty where the reader has none.
    """

    kind: str
    word: str
    one: str
    then: str
    path: str

    @classmethod
    def of(cls, saying: Saying, holder: Holder) -> "Headline":
        """Return a saying as it is shown."""
        path = _MORE[saying.about] if holder.is_operator or saying.about == "calls" else ""
        return cls(saying.kind, _WORDS[saying.kind], saying.one, saying.then, path)


class _Asset:
    """A file that never changes under its name, since the name has its hash."""

    def __init__(self, name: str) -> None:
        stem, _, kind = name.rpartition(".")
        self._content = (_STATIC / name).read_bytes()
        self._type = _TYPES[kind]
        digest = hashlib.blake2b(self._content, digest_size=8).hexdigest()
        self.path = f"/{stem}.{digest}.{kind}" if kind != "svg" else f"/{name}"

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer with the file."""
        headers = {"Cache-Control": f"public, max-age={_YEAR_S}, immutable"}
        return web.Response(body=self._content, content_type=self._type, headers=headers)


class Frame:
    """Renders pages and parts of them."""

    def __init__(self, app: web.Application) -> None:
        self.css, self.js, self.icon = _Asset("console.css"), _Asset("console.js"), _Asset("favicon.svg")
        environment = aiohttp_jinja2.setup(
            app,
            loader=jinja2.PackageLoader("tms_bridge.console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
        )
        environment.globals.update(glyphs=shown.GLYPHS, css=self.css.path, js=self.js.path)
        environment.filters.update(
            iso=shown.iso,
            number=shown.number,
            counted=shown.counted,
            marked=shown.marked,
            clock=_clock,
            exact=_exact,
        )
        self._environment = environment
        for asset in (self.css, self.js, self.icon):
            app.router.add_get(asset.path, asset.answer)

    def page(
        self, request: web.Request, template: str, parts: Mapping[str, object], status: int = 200
    ) -> web.Response:
        """Return a whole page."""
        now = time.time()
        return self.bare(request, template, {**self._around(request, now), **parts}, status)

    def bare(
        self, request: web.Request, template: str, parts: Mapping[str, object], status: int = 200
    ) -> web.Response:
        """Return a page that is complete in itself."""
        text = self._environment.get_template(template).render(parts)
        return web.Response(
            text=text, status=status, content_type="text/html", headers=self._headers(request)
        )

    def parts(self, now: float) -> Callable[..., str]:
        """Return what makes a part, by the name of its macro in `parts.html`, as the pages have it."""
        module = self._environment.get_template("parts.html").make_module({"now": now, "here": ""})
        return lambda macro, *arguments: str(getattr(module, macro)(*arguments))

    def _headers(self, request: web.Request) -> dict[str, str]:
        every = request.query.get("every", "")
        return {**_HEADERS, "Refresh": every} if every.isascii() and every.isdigit() else _HEADERS

    def _around(self, request: web.Request, now: float) -> dict[str, object]:
        board, holder = request.app[BOARD], request[HOLDER]
        said, *also = told(board, holder)
        return {
            "now": now,
            "said": said,
            "also": also,
            "holder": holder,
            "signed_in": holder is not ANYBODY,
            "pages": list(_menu(board, holder)),
            "here": request.path,
            "here_with": partial(_here_with, request),
            "seal": partial(board.sessions.seal, cookie_of(request)),
            "replica": board.replica,
            "others": _others(board),
            "theme": theme_of(request),
            "keys_off": request.cookies.get("keys") == "off",
            "version": board.version,
            "change": board.calls.change,
            "view": "",
            "query": "",
            "not_live": f"Not live: {WATCHERS} others watch." if board.watchers.count >= WATCHERS else "",
            "notice": "",
        }


FRAME: Final = web.AppKey("frame", Frame)


def told(board: Board, holder: Holder) -> list[Headline]:
    """Return the sentence for a holder, and those that stand under it."""
    return [Headline.of(saying, holder) for saying in sayings(board.standing(), holder.sources)]


def cookie_of(request: web.Request) -> str:
    """Return the session's cookie; empty where there is none."""
    return request.cookies.get(SECURE_COOKIE if request.secure else COOKIE, "")


def theme_of(request: web.Request) -> str:
    """Return the theme that was chosen; empty: the system's."""
    theme = request.query.get("theme") or request.cookies.get("theme", "")
    return theme if theme in {"dark", "light"} else ""


@jinja2.pass_context
def _clock(context: jinja2.runtime.Context, moment: float) -> str:
    return shown.clock(moment, context["now"])


@jinja2.pass_context
def _exact(context: jinja2.runtime.Context, moment: float) -> str:
    return shown.exact(moment, context["now"])


def _menu(board: Board, holder: Holder) -> Sequence[MenuLink]:
    standing = board.standing()
    counts = {
        "/quarantine": sum(kept_in(standing)),
        "/topology": standing.unroutable_topics,
        "/outbox": len(standing.lanes),
    }
    return [
        MenuLink(path, name, counts.get(path, 0))
        for path, name, for_operators in _PAGES
        if holder.is_operator or not for_operators
    ]


def _others(board: Board) -> Sequence[dict[str, str]]:
    return [{"url": url, "name": url.split("//")[-1]} for url in board.settings().admin.replicas]


def _here_with(request: web.Request, **changed: object) -> str:
    """Return this page's address with some words of its query changed; None takes one away."""
    words = {**request.query, **{name: str(value) for name, value in changed.items() if value is not None}}
    for name, value in changed.items():
        if value is None:
            words.pop(name, None)
    return f"{request.path}?{urlencode(words)}" if words else request.path
