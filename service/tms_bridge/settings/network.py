"""Addresses as the configuration writes them: where to listen, and lists of those that may call."""

import ipaddress
from typing import Final

import msgspec

from tms_bridge.settings.interpolation import Interpolation, Unresolved
from tms_bridge.settings.model import Mistake

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ANY: Final = "any"
"""Every address."""

SKILLABLE_TMS: Final = "skillable-tms"
"""The addresses that the vendor publishes."""

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_PORTS: Final = 65_535


class Listen(msgspec.Struct, frozen=True):
    """Where to listen; host None is every address of the machine."""

    host: str | None
    port: int

    def __str__(self) -> str:
        """Return it as it is written in the configuration and in URLs."""
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host or "")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def parse_listens(value: str | tuple[str, ...]) -> tuple[Listen, ...]:
    """Return the listen addresses of one key, which holds one or a list."""
    return tuple(parse_listen(text) for text in ((value,) if isinstance(value, str) else value))


def parse_listen(text: str) -> Listen:
    """Read `host:port`, `[v6]:port` or `:port`.

    Raises:
        ValueError: it is none of them; the text says what to write.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > _PORTS:
        raise ValueError(f'"{text}" is not an address with a port; write "0.0.0.0:8080" or "[::]:8080"')
    if host.startswith("[") and host.endswith("]"):
        return Listen(str(_parse_v6(host[1:-1])), int(port))
    if ":" in host:
        raise ValueError(f'"{text}": an IPv6 address needs brackets, as in "[::]:8080"')
    return Listen(host or None, int(port))


def _parse_v6(text: str) -> ipaddress.IPv6Address:
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f'"{text}" is not an IPv6 address') from None


def parse_network(text: str) -> Network:
    """Read an address or a CIDR range; host bits are masked, IPv4 inside IPv6 becomes IPv4.

    Raises:
        ValueError: it is neither; the text says what to write.
    """
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        network = None
    if network is None or "%" in text:
        raise ValueError(
            f'"{text}" is not an address or range; write "203.0.113.7", "203.0.113.0/24" or "2001:db8::/32"'
        )
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96))
    return network


class AddressList:
    """One key that holds addresses and ranges: `expand` it, then look at its `problems`."""

    words: frozenset[str] = frozenset()
    """What an entry may say besides; in a file, `any` is none of them: it must stand where it is read."""

    hint = ""
    """What else an entry that is no address may have meant."""

    def __init__(self, key: str, interpolation: Interpolation) -> None:
        self._key = key
        self._interpolation = interpolation
        self.problems: list[Mistake] = []

    def expand(self, entries: tuple[str, ...]) -> tuple[str, ...]:
        """Return the entries, with the addresses of each `@file` in its place."""
        expanded: list[str] = []
        for at, entry in enumerate(entries):
            key = f"{self._key}[{at}]"
            if entry.startswith("@"):
                expanded += self._listed(key, entry[1:])
            elif entry in self.words or self._is_good(key, entry, ""):
                expanded.append(entry)
        return tuple(expanded)

    def _listed(self, key: str, path: str) -> list[str]:
        """Return the entries of a list file, one a line; `#` starts a comment. It cannot say `any`."""
        try:
            lines = self._interpolation.read(path).split("\n")
        except Unresolved as error:
            self._complain(key, str(error))
            return []
        entries = [(number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1)]
        if not any(entry for _, entry in entries):
            self._complain(key, f"the file {path} names no address")
        return [
            entry
            for number, entry in entries
            if entry and self._is_good(key, entry, f"{path} line {number}: ")
        ]

    def _is_good(self, key: str, entry: str, where: str) -> bool:
        if entry == SKILLABLE_TMS and entry in self.words:
            return True
        try:
            parse_network(entry)
        except ValueError as error:
            self._complain(key, f"{where}{error}{self.hint}")
            return False
        return True

    def _complain(self, key: str, text: str) -> None:
        self.problems.append(Mistake(key, text))


class AllowFrom(AddressList):
    """One `allow_from` key."""

    words = frozenset({ANY, SKILLABLE_TMS})
    hint = f', or "{SKILLABLE_TMS}"'

    def expand(self, entries: tuple[str, ...]) -> tuple[str, ...]:
        """Return the entries, with the addresses of each `@file` in its place; there must be one."""
        if not entries:
            self._complain(self._key, f'is empty; name "{SKILLABLE_TMS}", addresses and ranges, or "{ANY}"')
        return super().expand(entries)
