"""The addresses that may call a source."""

import functools
from collections.abc import Iterable
from importlib import resources
from typing import Final

import msgspec

from tms_bridge.auth.networks import Networks
from tms_bridge.auth.node import Address
from tms_bridge.settings.allow_from import ANY, SKILLABLE_TMS

_DATA: Final = "skillable-tms.json"


class Published(msgspec.Struct, frozen=True):
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
def published() -> Published:
    """Return the vendor's addresses, which the word `skillable-tms` stands for."""
    data = resources.files(__package__).joinpath(_DATA).read_bytes()
    return msgspec.json.decode(data, type=Published)


class Allowlist:
    """The `allow_from` of one source."""

    def __init__(self, allow_from: Iterable[str]) -> None:
        entries = tuple(allow_from)
        self._any = ANY in entries
        self._networks = Networks(_addresses(entries))

    def __contains__(self, address: Address) -> bool:
        return self._any or address in self._networks


def _addresses(entries: Iterable[str]) -> Iterable[str]:
    for entry in entries:
        if entry == SKILLABLE_TMS:
            yield from published().addresses
        elif entry != ANY:
            yield entry
