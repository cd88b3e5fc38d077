"""Every call and what became of it, as the API lists and streams it."""

import ipaddress
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

import msgspec
from aiohttp import web

from tms_bridge.admin.arguments import number
from tms_bridge.admin.context import CONTEXT
from tms_bridge.admin.follow import Tick, follow, resumed
from tms_bridge.admin.follow import event as sent
from tms_bridge.admin.guard import HOLDER, Holder
from tms_bridge.calls import MAX_ROWS, TEST, CallRow, Calls
from tms_bridge.errors import InvalidQuery
from tms_bridge.http.answer import OUTCOMES
from tms_bridge.words.calls import near_source, words_of

_DAY_S: Final = 86_400.0
_DEFAULT: Final = 50
_PER_TICK: Final = 1000

Wanted = Callable[[CallRow], bool]

_REFUSED: Final = 400


def _ended(outcome: str) -> Wanted:
    return lambda row: row.call.outcome == outcome


NARROWED: Final[Mapping[str, tuple[str, Wanted]]] = {
    "": ("all", lambda _row: True),
    "refused": ("refused", lambda row: row.fate is None and row.call.http_status >= _REFUSED),
    "unauthorized": ("wrong password", _ended("unauthorized")),
    "unlisted_address_valid_credentials": ("unlisted address", _ended("unlisted_address_valid_credentials")),
    "unlisted_address": ("unlisted address, wrong password", _ended("unlisted_address")),
    "unknown_path": ("wrong URL", _ended("unknown_path")),
    "quarantined": ("not understood", _ended("quarantined")),
    "held": ("held", _ended("held")),
    "unroutable": ("unroutable", lambda row: row.fate is not None and row.fate.state == "unroutable"),
    "waiting": ("waiting", lambda row: row.fate is not None and row.fate.state in {"waiting", "blocked"}),
    "delivered": ("delivered", lambda row: row.fate is not None and row.fate.state == "delivered"),
    "looked": ("looked", _ended("looked")),
}
"""What a list can be narrowed to by name, beside the outcomes of the metrics."""

_OUTCOMES: Final = frozenset({*OUTCOMES, TEST})


class CallView(msgspec.Struct, frozen=True, kw_only=True):
    """A call as the API tells it; several alike are one, with a count.

    Attributes:
        number: names the row; it is told again with the same number when it has changed.
        time: when the last of them came; the first came at `first_time`.
        addresses: from how many addresses they came.
        path: as asked, escaped and cut.
        outcome: the word of the metrics; `state` says where its event stands.
        detail: why, as the answer or the log had it; `reason` and `remedy` say it for people.
        id: of the event, or of the row in quarantine.
        entity: `class/48211`; empty where none was read.
    """

    number: int
    time: datetime
    first_time: datetime
    count: int
    addresses: int
    request_id: str
    method: str
    path: str
    source: str
    trigger: str
    address: str
    outcome: str
    http_status: int
    detail: str
    reason: str
    remedy: str
    duration_ms: float
    id: str
    entity: str
    status: str
    routing_key: str
    state: Literal["", "waiting", "delivered", "unroutable", "blocked", "refused"]
    committed_at: datetime | None
    published_at: datetime | None
    confirmed_at: datetime | None


class CallViews(msgspec.Struct, frozen=True):
    """The calls of this replica, the newest first; no bodies."""

    calls: list[CallView]


class Filters:
    """What a list of calls is narrowed to.

    Raises:
        InvalidQuery: there is no such outcome, or the address is none, and no range of addresses.
    """

    def __init__(self, query: Mapping[str, str]) -> None:
        self.source, self.outcome = query.get("source", ""), query.get("outcome", "")
        self.entity, self.id = query.get("entity", "").strip(), query.get("id", "").strip()
        self.address = query.get("address", "").strip()
        self._network = _network(self.address) if self.address else None
        if self.outcome not in NARROWED and self.outcome not in _OUTCOMES:
            known = ", ".join(filter(None, [*NARROWED, *sorted(_OUTCOMES - NARROWED.keys())]))
            raise InvalidQuery(f"Outcome is one of {known}.")

    @property
    def query(self) -> dict[str, str]:
        """The words of the query that are set."""
        words = {name: getattr(self, name) for name in ("source", "outcome", "entity", "id", "address")}
        return {name: word for name, word in words.items() if word}

    def fits(self, row: CallRow) -> bool:
        """Return whether a row is wanted."""
        call = row.call
        return (
            (not self.source or call.source == self.source or (self.source == "-" and not call.source))
            and self._has_outcome(row)
            and (not self.entity or self.entity in {f"{call.trigger}/{call.entity}", call.entity})
            and (not self.id or self.id in {call.id, call.request_id})
            and (self._network is None or self._is_within(call.address))
        )

    def _has_outcome(self, row: CallRow) -> bool:
        known = NARROWED.get(self.outcome)
        return known[1](row) if known is not None else row.call.outcome == self.outcome

    def _is_within(self, address: str) -> bool:
        try:
            return self._network is not None and ipaddress.ip_address(address) in self._network
        except ValueError:
            return False


def seen_by(holder: Holder, calls: Calls, now: float) -> Wanted:
    """Return what tells the calls that a holder may see: of a source of theirs, or meant for one."""
    if holder.sources is None:
        return lambda _row: True
    return lambda row: _is_theirs(row, holder.sources or frozenset(), calls, now)


def _is_theirs(row: CallRow, sources: frozenset[str], calls: Calls, now: float) -> bool:
    call = row.call
    if call.source:
        return call.source in sources
    return any(
        near_source(call.path, (source,)) or calls.sent_for(call.address, source, now - _DAY_S)
        for source in sources
    )


async def list_calls(request: web.Request) -> CallViews:
    """List the calls, the newest first."""
    context = request.app[CONTEXT]
    limit = number(request, "limit", _DEFAULT, most=MAX_ROWS)
    before = number(request, "before", 0) or None
    filters, theirs = Filters(request.query), seen_by(request[HOLDER], context.calls, time.time())
    rows = context.calls.select(lambda row: filters.fits(row) and theirs(row), limit, before)
    return CallViews([told(row, context.sources()) for row in rows])


async def stream_calls(request: web.Request) -> web.StreamResponse:
    """Stream the calls as they come and as they change, as server-sent events named `call`."""
    context, filters = request.app[CONTEXT], Filters(request.query)

    def wanted(row: CallRow) -> bool:
        return filters.fits(row) and seen_by(request[HOLDER], context.calls, time.time())(row)

    return await streamed(request, "call", wanted, lambda row: told(row, context.sources()))


async def streamed(
    request: web.Request, name: str, wanted: Wanted, tell: Callable[[CallRow], msgspec.Struct]
) -> web.StreamResponse:
    """Stream what is told of each wanted row that comes or changes, for as long as somebody reads.

    Whatever is wanted, a row is told in the same words.

    Raises:
        Unavailable: enough others do.
    """
    context = request.app[CONTEXT]
    seen = resumed(request, "", context.calls.change)

    def told_now(tick: Tick) -> Iterator[bytes]:
        nonlocal seen
        rows, seen = tick.changed(seen)[-_PER_TICK:], max(seen, tick.change)
        for row in filter(wanted, rows):
            yield tick.made((name, row.number), partial(_as_event, name, row, tell))

    return await follow(request, context.watchers, told_now, lambda: b"" if context.health.stopping else None)


def _as_event(name: str, row: CallRow, tell: Callable[[CallRow], msgspec.Struct]) -> bytes:
    return sent(name, msgspec.json.encode(tell(row)).decode(), row.changed)


def told(row: CallRow, sources: Collection[str]) -> CallView:
    """Return a row as the API tells it."""
    call, fate, words = row.call, row.fate, words_of(row, sources)
    return CallView(
        number=row.number,
        time=moment(call.at),
        first_time=moment(row.first_at),
        count=row.count,
        addresses=row.addresses,
        request_id=call.request_id,
        method=call.method,
        path=call.path,
        source=call.source,
        trigger=call.trigger,
        address=call.address,
        outcome=call.outcome,
        http_status=call.http_status,
        detail=call.detail,
        reason=words.what,
        remedy=words.then,
        duration_ms=call.duration_ms,
        id=call.id,
        entity=f"{call.trigger}/{call.entity}" if call.entity else "",
        status=call.status,
        routing_key=call.routing_key,
        state=fate.state if fate is not None else "",
        committed_at=_reached(fate.committed) if fate is not None else None,
        published_at=_reached(fate.published) if fate is not None else None,
        confirmed_at=_reached(fate.confirmed) if fate is not None else None,
    )


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidQuery("Address takes an IP address, or a range such as 203.0.113.0/24.") from None


def _reached(unix_s: float) -> datetime | None:
    return moment(unix_s) if unix_s else None


def moment(unix_s: float) -> datetime:
    """Return Unix seconds as a moment that JSON shows in UTC."""
    return datetime.fromtimestamp(unix_s, UTC)
