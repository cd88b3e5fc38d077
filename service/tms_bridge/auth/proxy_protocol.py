"""The PROXY protocol, versions 1 and 2: what a proxy that forwards bytes says before the first of them.

Pure: the listener gives what a connection began with, and is told whose address stands there and how many
bytes to take away. Only a trusted proxy's connection may be given; there the header is a must, since a
connection without one would let its sender choose what it claims to be.
"""

import ipaddress
import re
from typing import Final

import msgspec

from tms_bridge.auth.allowlist import Address, parse_address
from tms_bridge.auth.client import Unreadable

_V1_START: Final = b"PROXY "
_V1_BYTES: Final = 107
"""The longest first version header, line end included."""

_V1: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP[46]) (\S+) (\S+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
)

_V2_START: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED_BYTES: Final = 16
_V2_REST_BYTES: Final = 4096
"""More than any proxy adds to its addresses; the field could say 65,535."""

_LOCAL: Final = 0x20
_PROXIED: Final = 0x21
_UNSPECIFIED: Final = 0x00
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_FIELD_BYTES: Final = 3
"""Of a field's type and length."""

_MAX_PORT: Final = 65_535
_V2_ADDRESS_BYTES: Final = {_TCP4: 4, _TCP6: 16}


class Announcement(msgspec.Struct, frozen=True):
    """What a PROXY header says.

    Attributes:
        client: the caller's address; None where the proxy speaks for itself, as in a health check.
        length: how many bytes the header has; what follows is HTTP.
    """

    client: Address | None
    length: int


def parse_announcement(start: bytes) -> Announcement | None:
    """Read the header that a connection begins with; None while it is not complete.

    Raises:
        Unreadable: the connection does not begin with a header that can be read; it must be closed.
    """
    if _begins(start, _V2_START):
        return _parse_v2(start) if len(start) >= _V2_FIXED_BYTES else None
    if _begins(start, _V1_START):
        return _parse_v1(start)
    raise Unreadable("it does not begin with a PROXY protocol header; make the proxy send one")


def _begins(start: bytes, mark: bytes) -> bool:
    """Return whether this is the mark, or may become it."""
    return start.startswith(mark) or mark.startswith(start)


def _parse_v1(start: bytes) -> Announcement | None:
    end = start.find(b"\n", 0, _V1_BYTES)
    if end < 0 and len(start) < _V1_BYTES:
        return None
    match = _V1.match(start[: end + 1])
    if match is None:
        raise Unreadable("its PROXY protocol header does not follow version 1")
    if match[1] is None:
        return Announcement(None, match.end())
    client, proxy = (_v1_address(match[1], match[at]) for at in (2, 3))
    if client is None or proxy is None:
        raise Unreadable("an address in its PROXY protocol header cannot be read")
    if max(int(match[4]), int(match[5])) > _MAX_PORT:
        raise Unreadable("a port in its PROXY protocol header cannot be read")
    return Announcement(client, match.end())


def _v1_address(family: bytes, text: bytes) -> Address | None:
    """Read an address that must be of the family that stands before it."""
    word = text.decode("latin-1")
    return parse_address(word) if (":" in word) == (family == b"TCP6") else None


def _parse_v2(start: bytes) -> Announcement | None:
    command, family = start[12], start[13]
    length = int.from_bytes(start[14:16], "big")
    if command not in (_LOCAL, _PROXIED) or length > _V2_REST_BYTES:
        raise Unreadable("its PROXY protocol header has an unknown version or command, or is too long")
    if len(start) < _V2_FIXED_BYTES + length:
        return None
    return Announcement(_v2_client(start, command, family, length), _V2_FIXED_BYTES + length)


def _v2_client(start: bytes, command: int, family: int, length: int) -> Address | None:
    if command == _LOCAL or family == _UNSPECIFIED:
        return None
    size = _V2_ADDRESS_BYTES.get(family)
    # Both addresses, then both ports of two bytes each.
    if size is None or length < 2 * size + 4:
        raise Unreadable("its PROXY protocol header announces no TCP connection over IPv4 or IPv6")
    _check_fields(start[_V2_FIXED_BYTES + 2 * size + 4 : _V2_FIXED_BYTES + length])
    client = ipaddress.ip_address(start[_V2_FIXED_BYTES : _V2_FIXED_BYTES + size])
    return parse_address(str(client))


def _check_fields(rest: bytes) -> None:
    """Refuse what follows the addresses unless it is a row of whole fields: type, length, value."""
    at = 0
    while at < len(rest):
        at += _FIELD_BYTES + int.from_bytes(rest[at + 1 : at + _FIELD_BYTES], "big")
    if at != len(rest):
        raise Unreadable("a field of its PROXY protocol header is cut short")
