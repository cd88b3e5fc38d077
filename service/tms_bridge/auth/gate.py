"""Who may call one source: its allowlist and its credentials, asked with the headers alone."""

import enum

import msgspec

from tms_bridge.auth.allowlist import Allowlist
from tms_bridge.auth.client import Client, Headers, Unreadable
from tms_bridge.auth.credentials import Credentials
from tms_bridge.settings.model import Http, Source


class Verdict(enum.Enum):
    """Whether the client may call."""

    ALLOWED = "allowed"
    """The client address is on the allowlist."""

    UNLISTED = "unlisted"
    """The client address is known, and not on the allowlist."""

    UNREADABLE = "unreadable"
    """What should tell the client address cannot be read; it counts as on no list."""


class Admission(msgspec.Struct, frozen=True):
    """The verdict on one request's address.

    Attributes:
        verdict: whether the client may call.
        client: the client address in its shortest form; empty where it cannot be told.
        reason: for the log alone: which peer, which header, and what would make it pass; empty when allowed.
    """

    verdict: Verdict
    client: str
    reason: str = ""


class Gate:
    """The door of one source; build a new one when the settings change."""

    def __init__(self, http: Http, name: str, source: Source) -> None:
        self._client = Client(http)
        self._allowlist = Allowlist(source.allow_from)
        self._credentials = Credentials(source.credentials)
        self._key = f"sources.{name}.allow_from"
        self.reads = (*self._credentials.reads, *self._client.reads)
        """All headers that it looks at: equal lines from one peer are judged equally."""

    def admit(self, peer: str | None, headers: Headers) -> Admission:
        """Judge the client address of a request that came over a connection from `peer`."""
        return self._judge(peer or "", self._client.told(headers))

    def identify(self, headers: Headers) -> str | None:
        """Return the name of the credential that these headers show, or None."""
        return self._credentials.match(headers)

    def _judge(self, peer: str, told: str | None) -> Admission:
        try:
            client = self._client.find(peer, told)
        except Unreadable as error:
            if self._allowlist.everybody:
                return Admission(Verdict.ALLOWED, "")
            return Admission(Verdict.UNREADABLE, "", str(error))
        if client in self._allowlist:
            return Admission(Verdict.ALLOWED, str(client))
        found = self._client.explain(peer, client)
        return Admission(
            Verdict.UNLISTED, str(client), f"{found}; if TMS calls from there, add {client} to {self._key}"
        )
