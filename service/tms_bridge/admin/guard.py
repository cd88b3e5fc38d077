"""Who may use the API: whoever has the token; without one, programs of this machine, and no web page."""

import hmac
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from tms_bridge.errors import Forbidden, Unauthorized
from tms_bridge.settings.model import Admin
from tms_bridge.settings.network import is_loopback, parse_listens

NO_TOKEN: Final = "none"  # noqa: S105 - a name, for the log
"""What the audit log calls a caller where no token is set."""

_NAME: Final = "admin"
_CHALLENGE: Final = 'Bearer realm="tms-bridge admin"'


class Guard:
    """Judges one request by its headers."""

    def __init__(self, admin: Admin) -> None:
        self._local = all(listen.is_loopback for listen in parse_listens(admin.listen))
        self.take_over(admin)

    def take_over(self, admin: Admin) -> None:
        """Judge by this token from now on; where it listens changes at a restart alone."""
        self._token = admin.token.encode() if admin.token else None

    def check(self, request: web.Request) -> str:
        """Let a request pass; return the name of its token, or NO_TOKEN.

        Raises:
            Unauthorized: the token is missing or wrong.
            Forbidden: there is no token, and the caller may be far away, or a web page.
        """
        if self._token is not None:
            self._check_token(request, self._token)
            return _NAME
        if not self._local:
            raise Forbidden("The API is off: it listens beyond loopback without a token; set admin.token.")
        if not _is_of_this_machine(request):
            raise Forbidden("Without admin.token the API is for programs of this machine, not for web pages.")
        return NO_TOKEN

    def _check_token(self, request: web.Request, token: bytes) -> None:
        lines = request.headers.getall("Authorization", [])
        scheme, _, shown = (lines[0] if len(lines) == 1 else "").partition(" ")
        right = hmac.compare_digest(shown.strip().encode(errors="surrogateescape"), token)
        if not (right and scheme.lower() == "bearer"):
            raise Unauthorized("Send `Authorization: Bearer` with admin.token.", challenge=_CHALLENGE)


def _is_of_this_machine(request: web.Request) -> bool:
    """A page that a browser shows can reach loopback too, by a name it chose or across origins."""
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "") and (
            origin is None or urlsplit(origin).netloc == host
        )
    except ValueError:  # brackets that hold no IPv6 address
        return False
