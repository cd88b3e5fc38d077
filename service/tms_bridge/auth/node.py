"""One hop as forwarding headers name it: an address, perhaps with a port."""

import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_BRACKETED: Final = re.compile(r"\[([^\]]*)\](?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")
_V4_WITH_PORT: Final = re.compile(r"([0-9.]+)(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")


def parse_node(text: str) -> Address | None:
    """Read `a.b.c.d`, `a.b.c.d:port`, `v6`, `[v6]` or `[v6]:port`; None is anything else, zones included."""
    if match := _V4_WITH_PORT.fullmatch(text):
        return parse_address(match[1])
    match = _BRACKETED.fullmatch(text)
    address = match[1] if match else text
    return parse_address(address) if ":" in address else None


def parse_address(text: str) -> Address | None:
    """Read a bare address; IPv4 inside IPv6 becomes IPv4, and an address with a zone is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address


def parse_peer(peer: str) -> Address | None:
    """Read the address of a connection, which the kernel vouches for; its zone says nothing to a list."""
    return parse_address(peer.partition("%")[0])
