"""Who calls: forwarding headers and PROXY headers, as whoever wants to pose as somebody else writes them."""

# ruff: noqa: E501 - lists of odd words are no prose

import ipaddress
import re
from random import Random
from typing import Literal

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target

from tms_bridge.auth.allowlist import Address, Networks, parse_address
from tms_bridge.auth.client import Client, Unreadable
from tms_bridge.auth.proxy_protocol import Announcement, parse_announcement
from tms_bridge.settings.model import ClientAddress, Http

TRUSTED = ("10.0.0.0/8", "2001:db8:1::/48")
PROXY = "10.0.0.1"
_WAYS: dict[bytes, ClientAddress] = {b"x": "x-forwarded-for", b"f": "forwarded"}
_CLIENTS = {
    letter: Client(Http(client_address=way, trusted_proxies=TRUSTED)) for letter, way in _WAYS.items()
}
_TRUSTED = Networks(TRUSTED)
_SPOOFS = {
    b"x": ("203.0.113.66,", "10.0.0.7,", "unknown,", '",', "a,b;c=d,"),
    b"f": ("for=203.0.113.66,", "for=10.0.0.7,", "for=unknown;by=x,", 'for=",', "x=,"),
}
"""What a caller may have written before the proxy added the rest."""

_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+")

_FORWARDING = Mutator(
    [
        b"x10.0.0.1\n192.0.2.7",
        b"x10.0.0.1\n203.0.113.5, 192.0.2.7, 10.0.0.2",
        b"x2001:db8:1::5\n192.0.2.7:51234, [2001:db8::7]:443, 10.9.9.9",
        b"x198.51.100.9\n192.0.2.7",
        b"x10.0.0.1\n::ffff:192.0.2.7, fe80::1%eth0",
        b"f10.0.0.1\nfor=192.0.2.7;proto=https;by=203.0.113.43",
        b'f10.0.0.1\nfor="[2001:db8:cafe::17]:4711", for=10.0.0.3',
        b'f10.0.0.1\nFor="_gazonk", for=unknown;host="a,b;c"',
        b'f::1\nfor="192.0.2.\\7"',
    ],
    [
        b",", b";", b"=", b'"', b"\\", b" ", b"\t", b"\n", b"for=", b"For =", b"by=", b"unknown", b"_hidden",
        b"10.0.0.1", b"10.0.0.0/8", b"203.0.113.5", b"192.0.2.7:1", b"192.0.2.7:99999", b"::1", b"[::1]",
        b"[::ffff:10.0.0.1]", b"::ffff:0:10.0.0.1", b"010.0.0.1", b"0x0a.0.0.1", b"10.1", b"167772161",
        b"[2001:db8::7]:_x", b"%", b"\x00", b"\xa0", b"\xd9\xa1", b"a" * 300, b"," * 300, b'for="' * 100,
    ],
)  # fmt: skip


def _judge_forwarding(given: bytes) -> None:
    """No word of a caller moves an address that a trusted proxy has told."""
    letter = given[:1] if given[:1] in _CLIENTS else b"x"
    peer, _, told = given[1:].decode("latin-1").partition("\n")
    found = _find(letter, peer, told)
    address = parse_address(peer.partition("%")[0])
    if address is None or address not in _TRUSTED:
        assert address == found, "who is no trusted proxy is itself the client"
        return
    if found is None:
        return
    assert found in _addresses_in(told)
    if found in _TRUSTED:
        return
    for spoof in _SPOOFS[letter][len(told) % 3 :: 3]:
        spoofed = _find(letter, peer, spoof + told)
        # A quote that never ends can make the rest of Forwarded unreadable; that lets nobody in.
        assert spoofed == found or (letter == b"f" and spoofed is None), spoof


def _find(letter: bytes, peer: str, told: str) -> Address | None:
    try:
        return _CLIENTS[letter].find(peer, told)
    except Unreadable:
        return None


def _addresses_in(told: str) -> set[Address]:
    """Return every address that stands in a header for whoever knows nothing of its grammar."""
    plain = told.replace("\\", "")
    words = {word for text in (told, plain) for word in _ADDRESS.findall(text)}
    words |= {word.rpartition(":")[0] for word in words}
    return {address for word in words if (address := parse_address(word)) is not None}


_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V2 = _SIGNATURE + b"\x21\x11\x00\x0c" + bytes((192, 0, 2, 7, 10, 0, 0, 1, 200, 1, 1, 187))
_V2_TLV = _SIGNATURE + b"\x21\x11\x00\x13" + _V2[16:] + b"\x03\x00\x04abcd"
_V2_6 = _SIGNATURE + b"\x21\x21\x00\x24" + bytes(range(32)) + b"\x00\x01\x00\x02"
_REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
_PROXY = Mutator(
    [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n" + _REQUEST,
        b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n" + _REQUEST,
        b"PROXY UNKNOWN\r\n" + _REQUEST,
        b"PROXY UNKNOWN ffff:f 1 2 3\r\n",
        _V2 + _REQUEST,
        _V2_TLV + _REQUEST,
        _V2_6 + _REQUEST,
        _SIGNATURE + b"\x20\x00\x00\x00" + _REQUEST,
    ],
    [
        b"\r\n", b"\n", b"\r", b" ", b"  ", b"\0", b"PROXY ", b"TCP4 ", b"TCP6", b"UNKNOWN ", b"192.0.2.7", b"::1",
        b"65535", b"65536", b"065", b"-1", b"0", b"\x20", b"\x21", b"\x22", b"\x11", b"\x12", b"\x31", b"\xff\xff",
        b"\x0f\xff", b"\x10\x00", b"\x10\x01", b"\x00\x0c", b"a" * 107, b"\x03\x00\x01a", b"\x03\xff\xff", _SIGNATURE,
    ],
)  # fmt: skip

Outcome = Announcement | Literal["unreadable"] | None
_LONGEST = 16 + 4096


def _judge_proxy(given: bytes) -> None:
    """However the bytes come in pieces, they say one thing, and it is the address that stands there."""
    whole = _outcome(given)
    decided: Outcome = None
    for end in sorted({1, 5, 6, 12, 13, 15, 16, 17, 28, 106, 107, len(given) // 2, len(given) - 1}):
        if 0 < end < len(given):
            outcome = _outcome(given[:end])
            assert decided is None or decided == outcome, f"changed its mind at {end}"
            decided = outcome
    assert decided is None or decided == whole
    if whole is None:
        assert len(given) < _LONGEST
    elif isinstance(whole, Announcement):
        assert whole.length <= min(len(given), _LONGEST)
        assert whole == _outcome(given[: whole.length])
        assert whole.client == _client_of(given[: whole.length])


def _outcome(start: bytes) -> Outcome:
    try:
        return parse_announcement(start)
    except Unreadable:
        return "unreadable"


def _client_of(header: bytes) -> Address | None:
    """Read the caller's address of a header that is right, in another way than the bridge does."""
    if header.startswith(b"PROXY"):
        words = header.split(b" ")
        text = words[2].decode() if words[1] in (b"TCP4", b"TCP6") else ""
    elif header[12] == 0x20 or header[13] == 0:
        text = ""
    else:
        size = 4 if header[13] == 0x11 else 16
        text = str(ipaddress.ip_address(header[16 : 16 + size]))
    return parse_address(text) if text else None


def make_forwarding(random: Random) -> bytes:
    """Return a letter for the way, a peer, and what the header says."""
    return _FORWARDING(random)


FORWARDING = Target("forwarding", make_forwarding, _judge_forwarding)
PROXY_HEADER = Target("proxy", _PROXY, _judge_proxy)
