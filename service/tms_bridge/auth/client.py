"""The client address: the peer of the connection, or what a trusted proxy says of it."""

from collections.abc import Callable
from typing import Final

from tms_bridge.auth.forwarding import (
    Hops,
    Unreadable,
    find_client,
    split_forwarded,
    split_x_forwarded_for,
)
from tms_bridge.auth.headers import Headers
from tms_bridge.auth.networks import Networks
from tms_bridge.auth.node import Address, parse_peer
from tms_bridge.settings.model import ClientAddress, Http

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
            raise Unreadable(f"the connection tells no IP address, but {peer[:200]!a}")
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
