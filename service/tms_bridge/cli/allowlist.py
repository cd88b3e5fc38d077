"""The command `allowlist`: compares the addresses that are configured with those on the vendor's page."""

import re
import sys
import time
from collections.abc import Iterable
from html.parser import HTMLParser
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import click
import msgspec

from tms_bridge.auth.allowlist import CHECKED, VendorPage, published
from tms_bridge.cli.output import Output, common_options, load, note
from tms_bridge.cli.program import DONE, NO
from tms_bridge.settings.model import Source
from tms_bridge.settings.network import ANY, SKILLABLE_TMS, Network, is_loopback, parse_network

TIMEOUT_S = 10
"""For the connection and for each part of the page."""

PATIENCE_S = 30
"""For the whole page, however slowly it comes."""

MAX_PAGE_BYTES = 8 * 1024 * 1024


class _Drift(msgspec.Struct, frozen=True):
    """What `--json` prints.

    Attributes:
        page: what was read.
        page_addresses: how many addresses stand on it.
        shipped_updated: the day of the page that this release ships.
        not_shipped: on the page, but not in this release's `skillable-tms`.
        not_on_page: in this release's `skillable-tms`, but no longer on the page.
        not_admitted: for each configured source, what of the page it refuses.
        drift: whether any of these is not empty.
    """

    page: str
    page_addresses: int
    shipped_updated: str
    not_shipped: tuple[str, ...]
    not_on_page: tuple[str, ...]
    not_admitted: dict[str, tuple[str, ...]]
    drift: bool


@click.group()
def allowlist() -> None:
    """Compare the allowlist with the vendor's page."""


@allowlist.command()
@common_options
@click.option(
    "--page",
    required=True,
    metavar="FILE|URL",
    help="The vendor's page, Markdown or HTML; - is standard input.",
)
@click.pass_context
def check(ctx: click.Context, *, config: Path, out: Output, page: str) -> int:
    """Compare the shipped and the configured addresses with the vendor's page.

    Meant to run each day: where nothing has drifted, the time is kept in the outbox's directory, and the
    bridge shows it as tms_bridge_allowlist_checked_timestamp_seconds. A URL must be https.

    An address counts if it has a line, a list item or a table cell of the page to itself. Exits 1 if an
    address was added or removed, or if a source would refuse one that is on the page.

    \b
    Examples:
      tms-bridge allowlist check --page page.md
      tms-bridge allowlist check --page https://docs.skillable.com/configuring-skillable-tms-webhooks.md
    """  # noqa: D301 - \b is how click is told to keep line breaks
    on_page = addresses(_read(page))
    if not on_page:
        raise click.BadParameter(
            "there is no address on this page; is it the right one?", param_hint="--page"
        )
    optional = ctx.get_parameter_source("config") is click.core.ParameterSource.DEFAULT
    settings = None if optional and not config.exists() else load(config)
    drift = compare(page, on_page, published(), settings.sources if settings is not None else {})
    if settings is not None and settings.outbox is not None and not drift.drift:
        _keep(Path(settings.outbox.dir))
    out.document(drift) if out.as_json else _show(out, drift)
    return NO if drift.drift else DONE


def _keep(directory: Path) -> None:
    """Note the time for the bridge's metric, where this user may write there."""
    if not directory.is_dir():
        return
    try:
        (directory / CHECKED).touch(mode=0o644)
    except OSError as error:
        note(f"the time of this check cannot be kept in {directory}: {error.strerror}")


def _read(page: str) -> str:
    if page == "-":
        return sys.stdin.read()
    if page.startswith(("http://", "https://")):
        return _fetch(page)
    try:
        return Path(page).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise click.BadParameter(f"{page} cannot be read: {error.strerror}", param_hint="--page") from None


def _fetch(url: str) -> str:
    if not _is_safe(url):
        raise click.BadParameter(
            "write https://: someone else could answer in the vendor's place", param_hint="--page"
        )
    request = Request(url, headers={"User-Agent": "tms-bridge", "Accept": "text/markdown, text/html, */*"})  # noqa: S310 - http or https, as the caller saw to
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - as above
            content = _content(response)
            if not _is_safe(response.geturl()):
                raise ValueError("it redirects to an address without https")  # noqa: TRY301 - told as the others
    except (URLError, OSError, ValueError) as error:
        raise click.BadParameter(f"{url} cannot be read: {_reason(error)}", param_hint="--page") from None
    return content.decode(errors="replace")


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _content(response: HTTPResponse) -> bytes:
    """Read a page whole, or not at all: half a page would look like addresses that went away."""
    content, ends_at = b"", time.monotonic() + PATIENCE_S
    while chunk := response.read1(1 << 16):
        content += chunk
        if len(content) > MAX_PAGE_BYTES:
            raise ValueError(f"it is longer than {MAX_PAGE_BYTES >> 20} MiB")
        if time.monotonic() > ends_at:
            raise TimeoutError(f"it did not come within {PATIENCE_S} s")
    return content


def _reason(error: Exception) -> str:
    status = getattr(error, "code", None)
    return f"HTTP {status} {HTTPStatus(status).phrase}" if status else str(getattr(error, "reason", error))


def compare(
    page: str, on_page: frozenset[Network], shipped: VendorPage, sources: dict[str, Source]
) -> _Drift:
    """Return what differs between the page, the shipped list and what each source admits."""
    ours = frozenset(map(parse_network, shipped.addresses))
    not_admitted = {name: _listed(_refused(source, on_page, ours)) for name, source in sources.items()}
    return _Drift(
        page=page,
        page_addresses=len(on_page),
        shipped_updated=shipped.updated,
        not_shipped=_listed(on_page - ours),
        not_on_page=_listed(ours - on_page),
        not_admitted=not_admitted,
        drift=on_page != ours or any(not_admitted.values()),
    )


def _refused(source: Source, on_page: frozenset[Network], shipped: frozenset[Network]) -> set[Network]:
    if ANY in source.allow_from:
        return set()
    admitted = {parse_network(entry) for entry in source.allow_from if entry != SKILLABLE_TMS}
    if SKILLABLE_TMS in source.allow_from:
        admitted |= shipped
    return {network for network in on_page if not any(_within(network, wide) for wide in admitted)}


def _within(network: Network, wide: Network) -> bool:
    first, last = int(network.network_address), int(network.broadcast_address)
    same = network.version == wide.version
    return same and int(wide.network_address) <= first and last <= int(wide.broadcast_address)


def _listed(networks: Iterable[Network]) -> tuple[str, ...]:
    return tuple(shown(network) for network in sorted(networks, key=sort_key))


def _show(out: Output, drift: _Drift) -> None:
    rows = [(address, "on the page, but not shipped as skillable-tms") for address in drift.not_shipped]
    rows += [(address, "shipped as skillable-tms, but not on the page") for address in drift.not_on_page]
    for name, refused in drift.not_admitted.items():
        rows += [(address, f"on the page, but source {name} refuses it") for address in refused]
    if not rows:
        out.text(f"{drift.page_addresses} addresses, as shipped with the page of {drift.shipped_updated}")
        return
    out.table(("address", "drift"), rows)
    note("Add new addresses to the source's allow_from, or update tms-bridge, which ships the list.")


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

    def parse_marked_section(self, i: int, report: bool = True) -> int:  # noqa: FBT001, FBT002 - inherited
        """Take `<![` for a comment, as browsers do; the library's own reading raises an AssertionError."""
        return self.parse_bogus_comment(i, report)

    def _break(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append("\n")


def sort_key(network: Network) -> tuple[int, int, int]:
    """Order addresses as a person would: IPv4 first, then by number."""
    return network.version, int(network.network_address), network.prefixlen


def shown(network: Network) -> str:
    """Write a single address without its /32 or /128."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
