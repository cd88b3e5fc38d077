"""Where a webhook goes and who may send it: a path leads to a source, its trigger, its door and its rules.

Everything that a request needs of the configuration is computed here once, and replaced as a whole by a
reload.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from tms_bridge.auth.allowlist import Allowlist
from tms_bridge.auth.client import Client, Headers, Unreadable
from tms_bridge.auth.credentials import Credentials, Names
from tms_bridge.errors import AddressRefused, Unauthorized
from tms_bridge.ingest import Rules, reread, rules_of
from tms_bridge.message import Message
from tms_bridge.settings.model import Credential, Http, Source
from tms_events import Trigger

_REMEMBERED: Final = 1024
_REMEMBERED_LENGTH: Final = 1024
"""Who shows more is judged anew each time, so that nobody fills the memory."""

_NO_LINES: Final[list[str]] = []
_BASIC_CHALLENGE: Final = 'Basic realm="tms-bridge", charset="UTF-8"'
_HEADER_CHALLENGE: Final = 'Header realm="tms-bridge"'
"""No registered scheme fits credentials that are headers of any name, and a 401 must name one."""

_WRONG_CREDENTIALS: Final = (
    "Credentials are missing or wrong. The HttpHeaders field of the webhook in TMS must hold what "
    "`tms-bridge tms-settings --source {source} --reveal` prints."
)
_WRONG_ADDRESS: Final = (
    "The client address is not on the allowlist of this source. If TMS calls from a new address, the "
    "operator adds it to sources.{source}.allow_from; the log of the bridge names it."
)


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who sent a request, as far as its headers tell.

    Attributes:
        client: the client address, which a trusted proxy may have told; empty where it cannot be told.
        credential: the name of the credential that matched; empty where none did.
        unlisted: why the client address is on no list; empty when it is on one.
        held: the event goes into quarantine until an operator releases it.
        detail: for the log alone, what is wrong; empty for whoever is let in.
    """

    client: str
    credential: str
    unlisted: str
    held: bool
    detail: str


class Door:
    """Opens for requests from a listed address with valid credentials."""

    def __init__(self, http: Http, name: str, source: Source) -> None:
        self._client = Client(http)
        self._allowlist = Allowlist(source.allow_from)
        self._credentials = Credentials(source.credentials)
        self.reads = (*self._credentials.reads, *self._client.reads)
        """All headers that it looks at: equal lines from one peer are judged equally."""
        self._key = f"sources.{name}.allow_from"
        self._holds = source.on_unlisted_address == "hold"
        self._headers = sorted({header for one in source.credentials for header in _headers_of(one)})
        self._names = ", ".join(credential.name for credential in source.credentials)
        self._certified = any(credential.client_certificate for credential in source.credentials)
        self._unauthorized = _WRONG_CREDENTIALS.format(source=name)
        self._unlisted = _WRONG_ADDRESS.format(source=name)
        self._challenge = ", ".join(_challenges(source))
        self._let_in: dict[tuple[object, ...], Caller] = {}

    def judge(self, peer: str, headers: Headers, names: Names = ()) -> Caller:
        """Return who calls, by the headers and the names in the certificate of the connection.

        Who was let in is remembered by all that was judged, as it came: the sender will show the same again.
        Refusals are not, so a guess always takes the whole comparison; and what passed is found by a keyed
        hash of the whole, so that the time that a guess takes says nothing.
        """
        shown = (peer, names, *[tuple(headers.getall(name, _NO_LINES)) for name in self.reads])
        known = self._let_in.get(shown)
        if known is not None:
            return known
        caller = self._judge(peer, headers, names)
        if caller.credential and not caller.unlisted:
            self._remember(shown, caller)
        return caller

    def _remember(self, shown: tuple[object, ...], caller: Caller) -> None:
        if len(str(shown)) > _REMEMBERED_LENGTH:
            return
        if len(self._let_in) >= _REMEMBERED:
            self._let_in.clear()
        self._let_in[shown] = caller

    def _judge(self, peer: str, headers: Headers, names: Names) -> Caller:
        credential = self._credentials.match(headers, names) or ""
        client, unlisted = self._place(peer, headers)
        held = bool(unlisted and credential and self._holds)
        detail = "" if held else unlisted or ("" if credential else self._explain(headers, names))
        return Caller(client, credential, unlisted, held, detail)

    def _place(self, peer: str, headers: Headers) -> tuple[str, str]:
        """Return the client address, and why it is on no list: peer, header, and what would make it pass."""
        try:
            client = self._client.find(peer, self._client.told(headers))
        except Unreadable as error:
            return "", "" if self._allowlist.everybody else str(error)
        if client in self._allowlist:
            return str(client), ""
        found = self._client.explain(peer, client)
        return str(client), f"{found}; if TMS calls from there, add {client} to {self._key}"

    def guess(self, caller: Caller, headers: Headers) -> bytes:
        """Return what was shown as credentials, where anybody would learn from answers what is right."""
        if not (self._holds and caller.unlisted):
            return b""
        return repr([headers.getall(name, _NO_LINES) for name in self._headers]).encode()

    def refusal(self, caller: Caller) -> AddressRefused | Unauthorized | None:
        """Return what is said to whom the door stays shut."""
        if caller.unlisted and not caller.held:
            return AddressRefused(self._unlisted)
        if not caller.credential:
            return Unauthorized(self._unauthorized, challenge=self._challenge)
        return None

    def _explain(self, headers: Headers, names: Names) -> str:
        """Return, for the log, what was shown and what would pass; never a header's value."""
        shown = [name for name in self._headers if headers.getall(name, [])]
        missing = [f"no {name} header" for name in self._headers]
        if self._certified and not shown:
            shown += [f"a certificate for {name[:60]!a}" for name in names]
            missing.append("no certificate")
        found = (
            f"{', '.join(shown)} came, but with a value that no credential has ({self._names})"
            if shown
            else f"{' and '.join(missing)} came (credentials: {self._names})"
        )
        return f"{found}; paste what `tms-bridge tms-settings` prints into HttpHeaders in TMS"


def _headers_of(credential: Credential) -> Iterator[str]:
    if not credential.client_certificate:
        yield from credential.headers or ("Authorization",)


def _challenges(source: Source) -> Iterator[str]:
    if any(credential.basic for credential in source.credentials):
        yield _BASIC_CHALLENGE
    if any(credential.basic is None for credential in source.credentials):
        yield _HEADER_CHALLENGE


PATHS: Final[Mapping[Trigger, str]] = {
    Trigger.COURSE_ASSIGNMENT: "course-assignment-changed",
    Trigger.CLASS: "class-changed",
}
"""The last part of a webhook's path, by trigger."""


class Route(msgspec.Struct, frozen=True):
    """One webhook URL.

    Attributes:
        source: whose it is.
        trigger: which trigger event it stands for.
        door: judges address and credentials.
        rules: how its bodies are understood.
    """

    source: str
    trigger: str
    door: Door
    rules: Rules


class Routes:
    """All webhook URLs by path.

    Attributes:
        sources: the names of those that may send.

    Raises:
        SettingsError: a source's fields or prefix cannot be used.
    """

    def __init__(self, http: Http, sources: Mapping[str, Source]) -> None:
        self.sources = tuple(sources)
        self._by_path = dict(_routes(http, sources))

    def find(self, raw_path: str) -> Route | None:
        """Return the route of a path as it stood in the request line, also where that is percent-encoded."""
        route = self._by_path.get(raw_path)
        if route is None and "%" in raw_path:
            return self._by_path.get(unquote(raw_path, errors="replace"))
        return route

    def of(self, source: str, trigger: str) -> Route | None:
        """Return the route of a source's webhook."""
        wanted = (source, trigger)
        return next((one for one in self._by_path.values() if (one.source, one.trigger) == wanted), None)

    def reread(self, message: Message, trigger: str = "") -> Message:
        """Return the event that a quarantined body is by the rules of now, as `ingest.reread` does."""
        rules = {(route.source, route.trigger): route.rules for route in self._by_path.values()}
        return reread(message, rules, trigger)


def _routes(http: Http, sources: Mapping[str, Source]) -> Iterator[tuple[str, Route]]:
    for name, source in sources.items():
        door = Door(http, name, source)
        for trigger, rules in rules_of(name, source).items():
            yield f"/webhooks/{name}/{PATHS[trigger]}", Route(name, trigger.value, door, rules)
