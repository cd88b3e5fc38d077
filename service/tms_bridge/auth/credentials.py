"""Proof that TMS calls: headers with known values, a Basic username and password, or a client certificate.

Every credential is compared with every request in full, as digests of one length, so that the time taken
says nothing about which credential, header or letter was nearly right.
"""

import binascii
import hmac
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from tms_bridge.auth.client import Headers
from tms_bridge.settings.model import Basic, Credential

_AUTHORIZATION: Final = "authorization"
_SPACE: Final = " \t"
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_DIGEST_BYTES: Final = 32
_NOTHING: Final = bytes(_DIGEST_BYTES)
"""Stands for a header that is absent, repeated or unreadable; no digest that anyone can find equals it."""


class _Proof(msgspec.Struct, frozen=True):
    """One thing that must be shown: the digests that a header, or Basic's decoded pair, may have."""

    header: str
    digests: tuple[bytes, ...]


Names = tuple[str, ...]
"""Whom a client certificate that the listener's CA signed was made out to; empty where none was shown."""

_NAMES: Final = frozenset(("DNS", "URI", "email"))


def names_in(certificate: Mapping[str, Sequence[Sequence[object]]] | None) -> Names:
    """Return the names in a certificate, as `ssl` tells it: the alternative ones, or else the common name."""
    if not certificate:
        return ()
    told = [(str(kind), str(name)) for kind, name in certificate.get("subjectAltName", ())]
    names = tuple(name for kind, name in told if kind in _NAMES)
    return names or tuple(_common_names(certificate.get("subject", ())))


def _common_names(subject: Sequence[Sequence[object]]) -> Iterator[str]:
    for parts in subject:
        for part in parts:
            if isinstance(part, tuple) and part[0] == "commonName":
                yield str(part[1])


class Credentials:
    """The credentials of one source, prepared for comparison."""

    def __init__(self, credentials: Sequence[Credential]) -> None:
        self._by_name = {
            one.client_certificate.lower(): one.name for one in credentials if one.client_certificate
        }
        self._proofs = tuple((one.name, _prepare(one)) for one in credentials if not one.client_certificate)
        self._headers = tuple({proof.header for _, proofs in self._proofs for proof in proofs})
        self.reads = tuple(header or _AUTHORIZATION for header in self._headers)
        """The headers that it looks at."""

    def match(self, headers: Headers, names: Names = ()) -> str | None:
        """Return the name of the first credential that headers or certificate show in full, or None.

        A header that stands twice shows nothing: no sender of ours repeats one, and a guesser might.
        """
        shown = {header: _shown(header, headers) for header in self._headers}
        found = None
        for name, proofs in self._proofs:
            matches = True
            for proof in proofs:
                matches &= _is_one_of(shown[proof.header], proof.digests)
            if matches and found is None:
                found = name
        for certified in names:
            found = found or self._by_name.get(certified.lower())
        return found


_BASIC: Final = ""
"""Key of what a Basic `Authorization` decodes to; no header has an empty name."""


def _prepare(credential: Credential) -> tuple[_Proof, ...]:
    if credential.basic is not None:
        return (_Proof(_BASIC, _basic_digests(credential.basic)),)
    if not credential.headers:
        raise ValueError(f"credential {credential.name} is empty, so it would let everybody in")
    return tuple(
        _Proof(name.lower(), _digests(value.strip(_SPACE))) for name, value in credential.headers.items()
    )


def _basic_digests(basic: Basic) -> tuple[bytes, ...]:
    return _digests(f"{basic.username}:{basic.password}")


def _digests(text: str) -> tuple[bytes, ...]:
    """Return the digests of a text in the encodings that senders use: UTF-8, and Latin-1 where it can."""
    return (_digest(text.encode()), _digest(_latin_1(text)))


def _latin_1(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=_DIGEST_BYTES).digest()


def _is_one_of(shown: bytes, digests: tuple[bytes, ...]) -> bool:
    equal = False
    for digest in digests:
        equal |= hmac.compare_digest(shown, digest)
    return equal


def _shown(header: str, headers: Headers) -> bytes:
    """Return the digest of what a request shows under a header, or under Basic."""
    lines = headers.getall(header or _AUTHORIZATION, [])
    if len(lines) != 1:
        return _NOTHING
    value = _bytes(lines[0])
    shown = value if header else _basic_pair(value)
    return _NOTHING if shown is None else _digest(shown)


def _bytes(value: str) -> bytes:
    """Return a header value as it came; aiohttp hides what is not UTF-8 as lone surrogates."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def _basic_pair(value: bytes) -> bytes | None:
    """Return the bytes `username:password` of an Authorization value, in either Base64, padded or not."""
    parts = value.split()
    if len(parts) != 2 or parts[0].lower() != b"basic":  # noqa: PLR2004 - the scheme and its token
        return None
    token = parts[1].translate(_TO_STANDARD).rstrip(b"=")
    try:
        return binascii.a2b_base64(token + b"=" * (-len(token) % 4), strict_mode=True)
    except binascii.Error:
        return None
