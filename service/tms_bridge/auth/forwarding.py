"""The hops that forwarding headers name, right to left: the nearest first.

`X-Forwarded-For` is a list of addresses; `Forwarded` (RFC 7239) a list of `for=...;by=...` elements whose
values may be quoted. Several lines of one header are one list, in order.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from tms_bridge.auth.node import Address, parse_node


class Unreadable(Exception):  # noqa: N818 - states the fact
    """A hop, or the whole header, cannot be read; the text says what is wrong with it."""


Hops = Sequence[str]
"""What a header says of each hop, farthest first, as it stands; never empty."""

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
    return [hop.strip(_OWS) for hop in value.split(",")]


def split_forwarded(value: str) -> Hops:
    """Return the `for` of each element of `Forwarded`; empty where an element has none.

    Raises:
        Unreadable: the header does not follow its grammar, or an element has two `for`.
    """
    hops: list[str] = []
    hop: str | None = None
    at = 0
    while at <= len(value):
        pair = _PAIR.match(value, at)
        if pair is None:
            raise Unreadable("it does not follow RFC 7239")
        if pair[1] is not None and pair[1].lower() == "for":
            if hop is not None:
                raise Unreadable("an element has more than one for")
            hop = _unquote(pair[2])
        if pair[3] != ";":
            hops.append(hop or "")
            hop = None
        at = pair.end() if pair[3] else len(value) + 1
    return hops


def _unquote(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def find_client(hops: Hops, is_trusted: Callable[[Address], bool]) -> Address:
    """Return the nearest hop that is not trusted, or the farthest where all are.

    What stands farther left was written by whoever called a proxy of ours, and proves nothing.

    Raises:
        Unreadable: a hop on the way is no address.
    """
    addresses = map(_read, reversed(hops))
    client = next(addresses)
    while is_trusted(client) and (farther := next(addresses, None)) is not None:
        client = farther
    return client


def _read(hop: str) -> Address:
    address = parse_node(hop)
    if address is None:
        raise Unreadable(f"its entry {hop[:60]!a} is no address")
    return address
