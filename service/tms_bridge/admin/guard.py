"""Who may use the API: whoever has a token; without one, programs of this machine, and no web page."""

import hmac
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from tms_bridge.errors import Forbidden, Unauthorized
from tms_bridge.settings.listeners import TOKEN_NAME
from tms_bridge.settings.model import Admin, AdminToken, Role
from tms_bridge.settings.network import is_loopback, parse_listens

_CHALLENGE: Final = 'Bearer realm="tms-bridge admin"'


class Holder(msgspec.Struct, frozen=True):
    """Whoever has a token, or is at this machine where there is none.

    Attributes:
        name: the token's, for the audit log.
        sources: those that a viewer may see; None: all, and the bridge itself.
    """

    name: str
    role: Role
    sources: frozenset[str] | None = None

    @property
    def is_operator(self) -> bool:
        """Whether they may change anything, or open a body."""
        return self.role == "operator"

    @property
    def sees_all(self) -> bool:
        """Whether every source, the outbox and the broker are theirs to see."""
        return self.sources is None

    def may_see(self, source: str) -> bool:
        """Return whether a source is theirs to see."""
        return self.sources is None or source in self.sources


HOLDER: Final = web.RequestKey("holder", Holder)

ANYBODY: Final = Holder("none", "operator")
"""A caller where no token is set."""


class Guard:
    """Judges one request by its headers."""

    def __init__(self, admin: Admin) -> None:
        self._local = all(listen.is_loopback for listen in parse_listens(admin.listen))
        self.take_over(admin)

    def take_over(self, admin: Admin) -> None:
        """Judge by these tokens from now on; where it listens changes at a restart alone."""
        first = [(admin.token, Holder(TOKEN_NAME, "operator"))] if admin.token is not None else []
        named = [(token.token, _holder(token)) for token in admin.tokens]
        self._holders = [(token.encode(), holder) for token, holder in [*first, *named]]

    @property
    def is_open(self) -> bool:
        """Whether there is no token, so that programs of this machine need none."""
        return not self._holders

    def holder_of(self, token: str) -> Holder | None:
        """Return who has this token; takes as long whichever it is, and whether or not it is one."""
        shown = token.encode(errors="surrogateescape")
        found = None
        for secret, holder in self._holders:
            if hmac.compare_digest(shown, secret):
                found = holder
        return found

    def check(self, request: web.Request) -> Holder:
        """Let a request pass; return who sends it.

        Raises:
            Unauthorized: the token is missing or wrong.
            Forbidden: there is no token, and the caller may be far away, or a web page.
        """
        if not self.is_open:
            return self._bearer(request)
        if not self._local:
            raise Forbidden("The API is off: it listens beyond loopback without a token; set admin.token.")
        if not is_of_this_machine(request):
            raise Forbidden("Without admin.token the API is for programs of this machine, not for web pages.")
        return ANYBODY

    def _bearer(self, request: web.Request) -> Holder:
        lines = request.headers.getall("Authorization", [])
        scheme, _, shown = (lines[0] if len(lines) == 1 else "").partition(" ")
        holder = self.holder_of(shown.strip())
        if holder is None or scheme.lower() != "bearer":
            raise Unauthorized("Send `Authorization: Bearer` with admin.token.", challenge=_CHALLENGE)
        return holder


def is_of_this_machine(request: web.Request) -> bool:
    """Return whether a request names this machine; a page can reach loopback by a name it chose."""
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "") and (
            origin is None or urlsplit(origin).netloc == host
        )
    except ValueError:  # brackets that hold no IPv6 address
        return False


def _holder(token: AdminToken) -> Holder:
    sources = frozenset(token.sources) if token.sources is not None else None
    return Holder(token.name, token.role, sources)
