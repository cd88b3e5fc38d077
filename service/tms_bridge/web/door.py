"""The door of a source: address and credentials judged together, and what is said to whom it stays shut."""

from collections.abc import Iterator
from typing import Final

from tms_bridge.auth import Gate, Verdict
from tms_bridge.auth.client import Headers
from tms_bridge.errors import AddressRefused, Unauthorized
from tms_bridge.settings.model import Credential, Http, Source
from tms_bridge.web.visit import UNLISTED_VALID, Visit

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


class Door:
    """Opens for requests from a listed address with valid credentials."""

    def __init__(self, http: Http, name: str, source: Source) -> None:
        self._gate = Gate(http, name, source)
        self._holds = source.on_unlisted_address == "hold"
        self._headers = sorted({header for one in source.credentials for header in _headers_of(one)})
        self._names = ", ".join(credential.name for credential in source.credentials)
        self._unauthorized = _WRONG_CREDENTIALS.format(source=name)
        self._unlisted = _WRONG_ADDRESS.format(source=name)
        self._challenge = ", ".join(_challenges(source))

    def admit(self, visit: Visit, headers: Headers) -> None:
        """Note on the visit who calls.

        Raises:
            AddressRefused: the address is on no list, and such events are not held.
            Unauthorized: the credentials are missing or wrong.
        """
        visit.credential = self._gate.identify(headers) or ""
        admission = self._gate.admit(visit.peer, headers)
        visit.client = admission.client
        if admission.verdict is not Verdict.ALLOWED:
            visit.unlisted = admission.reason
            self._judge_unlisted(visit)
        if not visit.credential:
            visit.detail = self._explain(headers)
            raise Unauthorized(self._unauthorized, challenge=self._challenge)

    def _judge_unlisted(self, visit: Visit) -> None:
        visit.held = bool(visit.credential) and self._holds
        if visit.held:
            return
        visit.detail = visit.unlisted
        if visit.credential:
            visit.outcome = UNLISTED_VALID
        raise AddressRefused(self._unlisted)

    def _explain(self, headers: Headers) -> str:
        """Return, for the log, what was shown and what would pass; never a value."""
        shown = [name for name in self._headers if headers.getall(name, [])]
        found = (
            f"{', '.join(shown)} came but fits" if shown else f"none of {', '.join(self._headers)} came, for"
        )
        return (
            f"{found} none of the credentials {self._names}; paste what tms-settings prints into HttpHeaders"
        )


def _headers_of(credential: Credential) -> Iterator[str]:
    yield from credential.headers or ("Authorization",)


def _challenges(source: Source) -> Iterator[str]:
    if any(credential.basic for credential in source.credentials):
        yield _BASIC_CHALLENGE
    if any(credential.headers for credential in source.credentials):
        yield _HEADER_CHALLENGE
