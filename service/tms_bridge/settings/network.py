"""Addresses as the configuration writes them: listen addresses, and CIDR ranges."""

import ipaddress
from typing import Final

import msgspec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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
