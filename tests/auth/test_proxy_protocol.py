import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tms_bridge.auth.client import Unreadable
from tms_bridge.auth.proxy_protocol import Announcement, parse_announcement

START = b"\r\n\r\n\0\r\nQUIT\n"
HTTP = b"POST /webhooks/contoso/class-changed HTTP/1.1\r\n"


def version_2(command: int, family: int, rest: bytes, length: int | None = None) -> bytes:
    return START + struct.pack(">BBH", command, family, len(rest) if length is None else length) + rest


def addresses(client: str, proxy: str) -> bytes:
    packed = ipaddress.ip_address(client).packed + ipaddress.ip_address(proxy).packed
    return packed + struct.pack(">HH", 51234, 443)


IPV4 = addresses("203.0.113.7", "10.0.0.1")
IPV6 = addresses("2001:db8::7", "fd00::1")
MAPPED = addresses("::ffff:203.0.113.7", "fd00::1")


@pytest.mark.parametrize(
    ("header", "client"),
    [
        pytest.param(b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n", "203.0.113.7", id="1, IPv4"),
        pytest.param(b"PROXY TCP6 2001:db8::7 fd00::1 51234 443\r\n", "2001:db8::7", id="1, IPv6"),
        pytest.param(b"PROXY TCP6 ::ffff:203.0.113.7 fd00::1 1 2\r\n", "203.0.113.7", id="1, mapped IPv4"),
        pytest.param(b"PROXY UNKNOWN\r\n", None, id="1, unknown"),
        pytest.param(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None, id="1, unknown with addresses"),
        pytest.param(version_2(0x21, 0x11, IPV4), "203.0.113.7", id="2, IPv4"),
        pytest.param(version_2(0x21, 0x21, IPV6), "2001:db8::7", id="2, IPv6"),
        pytest.param(version_2(0x21, 0x21, MAPPED), "203.0.113.7", id="2, mapped IPv4"),
        pytest.param(version_2(0x21, 0x11, IPV4 + b"\x04\x00\x01x"), "203.0.113.7", id="2, more fields"),
        pytest.param(version_2(0x20, 0x00, b""), None, id="2, local"),
        pytest.param(version_2(0x20, 0x11, IPV4), None, id="2, local with addresses"),
        pytest.param(version_2(0x21, 0x00, b""), None, id="2, unspecified"),
    ],
)
def test_a_header_tells_the_client_and_its_own_length(header: bytes, client: str | None) -> None:
    expected = Announcement(None if client is None else ipaddress.ip_address(client), len(header))
    assert parse_announcement(header + HTTP) == expected
    assert parse_announcement(header) == expected
    assert [parse_announcement(header[:length]) for length in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(HTTP, id="HTTP at once"),
        pytest.param(b"proxy TCP4 203.0.113.7 10.0.0.1 1 2\r\n", id="1, small letters"),
        pytest.param(b"PROXY TCP4 203.0.113.7 10.0.0.1 1 2\n", id="1, line feed alone"),
        pytest.param(b"PROXY TCP4 203.0.113.7 10.0.0.1 1\r\n", id="1, a port missing"),
        pytest.param(b"PROXY TCP4  203.0.113.7 10.0.0.1 1 2\r\n", id="1, two spaces"),
        pytest.param(b"PROXY TCP4 203.0.113.7 10.0.0.1 x 2\r\n", id="1, no port"),
        pytest.param(b"PROXY TCP4 localhost 10.0.0.1 1 2\r\n", id="1, a name"),
        pytest.param(b"PROXY TCP4 203.0.113.7 \xff 1 2\r\n", id="1, bytes"),
        pytest.param(b"PROXY TCP4 2001:db8::7 fd00::1 1 2\r\n", id="1, IPv6 where IPv4 is said"),
        pytest.param(b"PROXY TCP4 203.0.113.7 ::ffff:10.0.0.1 1 2\r\n", id="1, one of the other family"),
        pytest.param(b"PROXY TCP6 203.0.113.7 10.0.0.1 1 2\r\n", id="1, IPv4 where IPv6 is said"),
        pytest.param(b"PROXY TCP4 203.0.113.7 10.0.0.1 65536 2\r\n", id="1, a port over 65535"),
        pytest.param(b"PROXY TCP4 203.0.113.7 10.0.0.1 1 99999\r\n", id="1, the other port"),
        pytest.param(b"PROXY TCP4 203.0.113.7 10.0.0.1 01 2\r\n", id="1, a port with a zero before it"),
        pytest.param(b"PROXY TCP6 fe80::1%eth0 fd00::1 1 2\r\n", id="1, zone"),
        pytest.param(b"PROXY UDP4 203.0.113.7 10.0.0.1 1 2\r\n", id="1, UDP"),
        pytest.param(b"PROXY UNKNOWN" + b" " * 107, id="1, without end"),
        pytest.param(b"PROXY UNKNOWN" + b" " * 107 + b"\r\n", id="1, too long"),
        pytest.param(START + b"\x11\x11\x00\x0c" + IPV4, id="2, another version"),
        pytest.param(version_2(0x22, 0x11, IPV4), id="2, unknown command"),
        pytest.param(version_2(0x21, 0x12, IPV4), id="2, UDP"),
        pytest.param(version_2(0x21, 0x31, b"\0" * 216), id="2, Unix socket"),
        pytest.param(version_2(0x21, 0x11, IPV4[:-1]), id="2, addresses cut short"),
        pytest.param(version_2(0x21, 0x11, IPV4 + b"\x04"), id="2, a field without a length"),
        pytest.param(version_2(0x21, 0x11, IPV4 + b"\x04\x00\x02x"), id="2, a field cut short"),
        pytest.param(version_2(0x21, 0x11, IPV4 + b"\x04\x00\x01xx"), id="2, a byte behind the fields"),
        pytest.param(version_2(0x21, 0x21, IPV4), id="2, IPv4 where IPv6 is said"),
        pytest.param(version_2(0x21, 0x11, IPV4, length=4097), id="2, too long"),
    ],
)
def test_a_connection_that_begins_otherwise_is_unreadable(start: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_announcement(start)


@given(st.binary(max_size=64), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", START, START + b"\x21\x11"]))
def test_no_bytes_raise_anything_else_or_tell_of_bytes_that_are_not_there(rest: bytes, start: bytes) -> None:
    try:
        announcement = parse_announcement(start + rest)
    except Unreadable:
        return
    assert announcement is None or announcement.length <= len(start + rest)
