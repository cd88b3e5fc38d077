"""Reads the source addresses from the vendor's page, be it Markdown or HTML."""

import re
from html.parser import HTMLParser

from tms_bridge.settings.network import Network, parse_network

_HTML = re.compile(r"<\s*(!doctype\s+html|html|body|pre|table|ul|p|div)\b", re.IGNORECASE)
_AROUND = " \t|`*-\u2022\u200b\xa0"
"""What may stand beside an address on a line of its own: list signs, table bars, code ticks."""

_INLINE = frozenset({"a", "b", "code", "em", "font", "i", "span", "strong", "u"})
_UNSEEN = frozenset({"script", "style", "template"})


def addresses(page: str) -> frozenset[Network]:
    """Return every address or range that has a line, a list item or a table cell to itself.

    Prose that mentions an address is not meant as a list, so it does not count.
    """
    lines = _html_lines(page) if _HTML.search(page) else page.splitlines()
    return frozenset(network for line in lines if (network := _network(line)) is not None)


def _network(line: str) -> Network | None:
    text = line.strip(_AROUND)
    if not text or text.isdecimal():
        return None
    try:
        return parse_network(text)
    except ValueError:
        return None


def _html_lines(page: str) -> list[str]:
    text = _Text()
    text.feed(page)
    text.close()
    return "".join(text.parts).splitlines()


class _Text(HTMLParser):
    """Keeps what a reader sees, with a line break wherever a block begins or ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - inherited
        """Begin a line, unless the tag stands within one."""
        self._unseen += tag in _UNSEEN
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        """End a line, unless the tag stands within one."""
        self._unseen -= tag in _UNSEEN and self._unseen > 0
        self._break(tag)

    def handle_data(self, data: str) -> None:
        """Keep text that is shown."""
        if not self._unseen:
            self.parts.append(data)

    def _break(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append("\n")


def sort_key(network: Network) -> tuple[int, int, int]:
    """Order addresses as a person would: IPv4 first, then by number."""
    return network.version, int(network.network_address), network.prefixlen


def shown(network: Network) -> str:
    """Write a single address without its /32 or /128."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
