"""The client address: the peer of the connection, or what a trusted proxy says of it."""

import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tms_bridge.auth.allowlist import Address, Networks, parse_node, parse_peer
from tms_bridge.settings.model import ClientAddress, Http


class Headers(Protocol):
    """Header lines by name, whose case does not count."""

    def getall(self, key: str, default: list[str], /) -> list[str]:
        """Return the values of every line of this name, in order."""
        ...


class Unreadable(Exception):  # noqa: N818 - states the fact
    """A hop, or the whole header, cannot be read; the text says what is wrong with it."""


Hops = Sequence[str]
"""What a header says of each hop, farthest first, as it stands; empty elements of its list are none."""

_OWS: Final = " \t"
_PAIR: Final = re.compile(
    r"""[ \t]*+
    (?: ([!#$%&'*+.^_`|~0-9A-Za-z-]++) = ( "(?:[^"\\]|\\.)*+" | [^\s",;]*+ ) )?+
    [ \t]*+ ([;,]|\Z)""",
    re.VERBOSE,
)
_ESCAPED: Final = re.compile(r"\\(.)")


def split_x_forwarded_for(value: str) -> Hops:
    """Return the hops of `X-Forwarded-For`."""
    return [hop for element in value.split(",") if (hop := element.strip(_OWS))]


def split_forwarded(value: str) -> Hops:
    """Return the `for` of each element of `Forwarded`; empty where an element has none.

    Raises:
        Unreadable: the header does not follow its grammar, or an element has two `for`.
    """
    hops: list[str] = []
    hop: str | None = None
    empty = True
    at = 0
    while at <= len(value):
        pair = _PAIR.match(value, at)
        if pair is None:
            raise Unreadable("it does not follow RFC 7239")
        if pair[1] is not None and pair[1].lower() == "for":
            if hop is not None:
                raise Unreadable("an element has more than one for")
            hop = _unquote(pair[2])
        empty = empty and pair[1] is None and pair[3] != ";"
        if pair[3] != ";":
            if not empty:
                hops.append(hop or "")
            hop, empty = None, True
        at = pair.end() if pair[3] else len(value) + 1
    return hops


def _unquote(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def find_client(hops: Hops, is_trusted: Callable[[Address], bool]) -> Address:
    """Return the nearest hop that is not trusted, or the farthest where all are.

    What stands farther left was written by whoever called a proxy of ours, and proves nothing.

    Raises:
        Unreadable: a hop on the way is no address, or there is none.
    """
    addresses = map(_read, reversed(hops))
    client = next(addresses, None)
    if client is None:
        raise Unreadable("it names no address")
    while is_trusted(client) and (farther := next(addresses, None)) is not None:
        client = farther
    return client


def _read(hop: str) -> Address:
    address = parse_node(hop)
    if address is None:
        raise Unreadable(f"its entry {hop[:60]!a} is not an address")
    return address


_HEADERS: Final[dict[ClientAddress, str]] = {"x-forwarded-for": "X-Forwarded-For", "forwarded": "Forwarded"}
_SPLITTERS: Final[dict[str, Callable[[str], Hops]]] = {
    "X-Forwarded-For": split_x_forwarded_for,
    "Forwarded": split_forwarded,
}


class Client:
    """The one declared way to the client address, prepared from `[http]`.

    As in nginx's real_ip: a peer that is no trusted proxy is itself the client, whatever it sends.
    """

    def __init__(self, http: Http) -> None:
        self._header = _HEADERS.get(http.client_address)
        self.reads = (self._header,) if self._header else ()
        """The headers that it looks at."""
        self._announced = http.client_address == "proxy-protocol"
        self._trusted = Networks(http.trusted_proxies)

    def told(self, headers: Headers) -> str | None:
        """Return what the declared header says, its lines joined; None without one."""
        lines = headers.getall(self._header, []) if self._header else []
        return ",".join(lines) if lines else None

    def find(self, peer: str, told: str | None) -> Address:
        """Return the client address of a connection from `peer` whose declared header says `told`.

        Raises:
            Unreadable: a trusted proxy says nothing, or nothing that can be read; the text is for the log.
        """
        address = parse_peer(peer)
        if address is None:
            raise Unreadable(f"the connection gives no IP address but {peer[:200]!a}")
        if self._header is None or address not in self._trusted:
            return address
        if told is None:
            raise Unreadable(
                f"peer {address} is a trusted proxy but sent no {self._header}; make it send one, "
                "or set http.client_address to what it does send"
            )
        return self._read(self._header, told, address)

    def _read(self, header: str, told: str, peer: Address) -> Address:
        try:
            return find_client(_SPLITTERS[header](told), self._trusted.__contains__)
        except Unreadable as error:
            raise Unreadable(
                f"peer {peer} sent a {header} that cannot be read: {error}; make it append the plain address "
                "of its caller"
            ) from None

    def explain(self, peer: str, client: Address) -> str:
        """Return, for the log, how the address of an unlisted client was found."""
        if self._announced:
            return (
                f"client {client} was announced by PROXY protocol, or opened the connection itself; if that "
                "is a proxy of yours, name it in http.trusted_proxies"
            )
        if self._header is None:
            return (
                f"client {client} is the peer of the connection; if that is a proxy of yours, set "
                "http.client_address to the header it sends and name it in http.trusted_proxies"
            )
        if parse_peer(peer) == client:
            return (
                f"client {client} is the peer of the connection, whose {self._header} is not believed; if "
                "that is a proxy of yours, name it in http.trusted_proxies"
            )
        return f"client {client} was told by peer {peer} in {self._header}"
