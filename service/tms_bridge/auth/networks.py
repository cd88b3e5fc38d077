"""A set of addresses and ranges that answers fast, however many it holds."""

from collections.abc import Iterable

from tms_bridge.auth.node import Address
from tms_bridge.settings.network import parse_network


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
