"""Who is signed in: a cookie names a session, and the session names a token's holder.

| state | by | what the browser has |
| --- | --- | --- |
| signed out | a restart, `sign_out`, twelve hours, changed tokens, 256 newer sessions | no known cookie |
| signed in | `sign_in`, after a right token | the cookie; the server keeps its hash alone |

A form carries a seal made of its session and path, so that no other site can post it. Without a token
(loopback only) nobody signs in; then the seal is made of the process alone.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final, Generic, TypeVar

import msgspec

Holder = TypeVar("Holder")

LIFE_S: Final = 12 * 3600.0
MAX_SESSIONS: Final = 256
TRIES_A_MINUTE: Final = 10

_MAX_ADDRESSES: Final = 1024
_MINUTE_S: Final = 60.0


class SignIn(msgspec.Struct, Generic[Holder], frozen=True):
    """One signed-in browser, until a moment of the monotonic clock."""

    holder: Holder
    until: float


class Sessions(Generic[Holder]):
    """The browsers that are signed in, in memory; moments are on the monotonic clock."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._sessions: OrderedDict[bytes, SignIn[Holder]] = OrderedDict()

    def sign_in(self, holder: Holder, now: float) -> str:
        """Return the cookie's value of a new session."""
        cookie = secrets.token_urlsafe(32)
        self._sessions[_hash(cookie)] = SignIn(holder, now + LIFE_S)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str, now: float) -> Holder | None:
        """Return who is signed in with this cookie."""
        session = self._sessions.get(_hash(cookie))
        if session is None or session.until <= now:
            return None
        return session.holder

    def sign_out(self, cookie: str) -> None:
        """Forget a session."""
        self._sessions.pop(_hash(cookie), None)

    def sign_all_out(self) -> None:
        """Forget every session: the tokens have changed."""
        self._sessions.clear()

    def seal(self, cookie: str, path: str) -> str:
        """Return what a form that posts to this path must carry."""
        return hmac.digest(self._secret, f"{cookie}\0{path}".encode(), "sha256").hex()

    def is_sealed(self, cookie: str, path: str, shown: str) -> bool:
        """Return whether a form was made for this session and path."""
        return hmac.compare_digest(self.seal(cookie, path), shown)


class Tries:
    """How often an address may try to sign in: ten times a minute, in bounded memory."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, list[float]] = OrderedDict()

    def left(self, address: str, now: float) -> int:
        """Return how many tries an address has left in this minute."""
        return TRIES_A_MINUTE - len(self._recent(address, now))

    def note(self, address: str, now: float) -> None:
        """Count a try that failed."""
        self._tries[address] = [*self._recent(address, now), now]
        self._tries.move_to_end(address)
        if len(self._tries) > _MAX_ADDRESSES:
            self._tries.popitem(last=False)

    def _recent(self, address: str, now: float) -> list[float]:
        return [at for at in self._tries.get(address, ()) if now - at < _MINUTE_S]


def _hash(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode(errors="replace")).digest()
