"""Addresses and sets of them: the published list of the vendor, and what a source allows."""

import functools
import ipaddress
import re
from collections.abc import Iterable
from importlib import resources
from typing import Final

import msgspec

from tms_bridge.settings.network import ANY, SKILLABLE_TMS, parse_network

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


_V6_NETWORK: Final = (1 << 128) - (1 << 64)


def network_of(peer: str) -> str:
    """Return whom an address counts for: itself, or its /64, since one IPv6 caller has that many."""
    address = parse_peer(peer)
    if address is None or isinstance(address, ipaddress.IPv4Address):
        return peer
    return f"{ipaddress.IPv6Address(int(address) & _V6_NETWORK)}/64"


class Networks:
    """CIDR ranges, as one set of masked numbers for each prefix length that occurs."""

    def __init__(self, entries: Iterable[str]) -> None:
        by_mask: dict[tuple[int, int], set[int]] = {}
        for network in map(parse_network, entries):
            key = (network.version, int(network.netmask))
            by_mask.setdefault(key, set()).add(int(network.network_address))
        self._by_mask = tuple((version, mask, frozenset(bases)) for (version, mask), bases in by_mask.items())

    def __contains__(self, address: Address) -> bool:
        number, family = int(address), address.version
        return any(number & mask in bases for version, mask, bases in self._by_mask if version == family)


_DATA: Final = "skillable-tms.json"

CHECKED: Final = "allowlist.checked"
"""The file in the outbox's directory whose time is that of the last check without drift."""


class VendorPage(msgspec.Struct, frozen=True):
    """The addresses that the vendor publishes, as this release ships them.

    Attributes:
        page: where they are published.
        updated: the day that the page gives as its last change, ISO 8601.
        addresses: the addresses, in the page's order.
    """

    page: str
    updated: str
    addresses: tuple[str, ...]


@functools.cache
def published() -> VendorPage:
    """Return the vendor's addresses, which the word `skillable-tms` stands for."""
    data = resources.files(__package__).joinpath(_DATA).read_bytes()
    return msgspec.json.decode(data, type=VendorPage)


class Allowlist:
    """The `allow_from` of one source."""

    def __init__(self, allow_from: Iterable[str]) -> None:
        entries = tuple(allow_from)
        self.everybody = ANY in entries
        """Whether addresses are not checked at all."""
        self._networks = Networks(_addresses(entries))

    def __contains__(self, address: Address) -> bool:
        return self.everybody or address in self._networks


def _addresses(entries: Iterable[str]) -> Iterable[str]:
    for entry in entries:
        if entry == SKILLABLE_TMS:
            yield from published().addresses
        elif entry != ANY:
            yield entry
