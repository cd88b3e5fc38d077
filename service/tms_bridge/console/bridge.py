"""The operator's pages on the bridge itself: outbox, topology, configuration; and a source's own page."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import web
from msgspec import inspect
from yarl import URL

from tms_bridge.admin.guard import HOLDER
from tms_bridge.calls import Calls
from tms_bridge.console.access import MAX_BODY_BYTES, audit, form_of
from tms_bridge.console.cards import MASK, TRIGGERS, box_of, card_of
from tms_bridge.console.format import clock, counted, escaped, number, rate
from tms_bridge.console.frame import BOARD, FRAME, Board
from tms_bridge.console.quarantine import notice_of, operators_of
from tms_bridge.console.views import read
from tms_bridge.outbox.rows import OUTBOX, Row, State
from tms_bridge.settings.model import HIDDEN, Settings
from tms_bridge.words.standing import Standing
from tms_events import STATUSES, Trigger

MOST: Final = 1000
"""How many of the waiting events are looked at for the table of keys."""


async def outbox(request: web.Request) -> web.StreamResponse:
    """Show what waits, how long the outbox will hold, and what the broker refused."""
    board, operators, now = request.app[BOARD], operators_of(request), time.time()
    standing, settings = board.standing(), board.settings()
    refused = await operators.rows([State.REFUSED], limit=MOST)
    parts = {
        "title": "Outbox",
        "where": settings.outbox.dir if settings.outbox is not None else "",
        "box": box_of(standing, settings, now),
        "broker": _broker(standing, now),
        "lanes": _lanes(await operators.rows([State.PENDING], limit=MOST), standing, now),
        "refused": [_refused(row, now) for row in refused],
        "notice": notice_of(request),
    }
    return request.app[FRAME].page(request, "outbox.html", parts)


async def retry(request: web.Request) -> web.StreamResponse:
    """Send a refused event again."""
    await form_of(request)
    done = await operators_of(request).retry(request.match_info["id"])
    audit(request, "retry", done.id)
    raise web.HTTPSeeOther(str(URL("/outbox").with_query(done="retry")))


async def drop(request: web.Request) -> web.StreamResponse:
    """Forget an event for good."""
    form = await form_of(request)
    why = form.get("why", "").strip()
    if not why or not form.get("sure"):
        raise web.HTTPBadRequest(text="Say why, and tick the box.")
    done = await operators_of(request).drop(request.match_info["id"], OUTBOX)
    audit(request, "drop", done.id, why)
    raise web.HTTPSeeOther(str(URL("/outbox").with_query(done="drop")))


async def topology(request: web.Request) -> web.StreamResponse:
    """Show what no queue wanted, and what is not as configured on the broker."""
    board = request.app[BOARD]
    parts = {
        "title": "Topology",
        "unroutable": list(_unroutable(board.calls)),
        "topology": list(_objects(board.settings(), board.standing())),
        "notice": notice_of(request),
    }
    return request.app[FRAME].page(request, "topology.html", parts)


async def confirm_replay(request: web.Request) -> web.StreamResponse:
    """Ask once more before what no queue wanted is sent again, and say what would come of it now."""
    key = request.query.get("key", "")
    found = [one for one in _unroutable(request.app[BOARD].calls) if one["name"] == key]
    parts = {"title": "Replay", "key": key, "unroutable": found[0] if found else None}
    return request.app[FRAME].page(request, "replay.html", parts)


async def replay_unroutable(request: web.Request) -> web.StreamResponse:
    """Send again what no queue wanted, of one routing key."""
    form = await form_of(request)
    key = form.get("key", "")
    done = await request.app[BOARD].bus.replay_unroutable(key)
    audit(request, "replay", key, f"{done.replayed} replayed, {done.returned} came back")
    notice = "came-back" if done.returned else "rerouted" if done.replayed else "none-waited"
    raise web.HTTPSeeOther(str(URL("/topology").with_query(done=notice)))


async def send_test(request: web.Request) -> web.StreamResponse:
    """Send a test event, and lead to its story."""
    form, name = await form_of(request), request.match_info["name"]
    trigger, _, status = form.get("topic", "").partition(".")
    if not request[HOLDER].may_see(name):
        raise web.HTTPNotFound
    if not form.get("sure"):
        raise web.HTTPBadRequest(text="Tick the box: consumers of this topic will get the event.")
    event_id = await request.app[BOARD].bus.send_test(name, trigger, status, request.remote or "")
    audit(request, "test", event_id, f"{name} {trigger}.{status}")
    raise web.HTTPSeeOther(f"/events/{event_id}")


async def configuration(request: web.Request) -> web.StreamResponse:
    """Show the configuration in force, without a secret."""
    board, now = request.app[BOARD], time.time()
    settings, shows_all = board.settings(), "all" in request.query
    keys = list(_keys(settings, ""))
    told = [key for key in keys if shows_all or key[2] != _DEFAULT]
    left = len(keys) - len(told)
    parts = {
        "title": "Configuration",
        "cards": _cards(board, settings, now),
        "keys": told,
        "all": shows_all,
        "caption": f"No secret is here. {counted(left, 'more key has', 'more keys have')} default values.",
    }
    return request.app[FRAME].page(request, "configuration.html", parts)


async def source(request: web.Request) -> web.StreamResponse:
    """Show one source: its URLs, and a form that explains a captured body."""
    return _source_page(request, "", b"")


async def explain(request: web.Request) -> web.StreamResponse:
    """Show how a pasted body is read; it is neither kept nor logged."""
    form = await form_of(request, MAX_BODY_BYTES)
    trigger = form.get("trigger", "")
    if trigger not in TRIGGERS:
        raise web.HTTPBadRequest(text="Choose one of the two trigger events.")
    return _source_page(request, trigger, form.get("body", "").encode(errors="surrogatepass"))


_SAMPLE: Final = '{"Id": 48211, "Name": "Azure Fundamentals", "ConfirmationStatusId": 1}'
"""A class, with which the form for a captured body begins."""


def _source_page(request: web.Request, trigger: str, body: bytes) -> web.StreamResponse:
    board, now = request.app[BOARD], time.time()
    settings, name = board.settings(), request.match_info["name"]
    if name not in settings.sources or not request[HOLDER].may_see(name):
        raise web.HTTPNotFound
    configured = settings.sources[name]
    reading = (
        read(body, name, configured, trigger, datetime.now(UTC), tried={}, is_open=True) if trigger else None
    )
    parts = {
        "title": name,
        "source": card_of(name, configured, board.calls, settings.http.url or "https://YOUR-BRIDGE", now),
        "chosen": trigger,
        "topics": [
            (f"{one}.{status}", f"{title}: {status.replace('_', ' ')}")
            for one, title in TRIGGERS.items()
            for status in STATUSES[Trigger(one)]
        ]
        if request[HOLDER].is_operator and request[HOLDER].sees_all
        else [],
        "sample": "" if trigger else _SAMPLE,
        "reading": reading,
    }
    return request.app[FRAME].page(request, "source.html", parts)


def _broker(standing: Standing, now: float) -> list[tuple[str, str]]:
    state = {"up": "Connected", "blocked": "Blocked by an alarm", "down": "Away"}[standing.broker]
    since = f" since {clock(standing.broker_since, now)}" if standing.broker_since is not None else ""
    errors = "; ".join(standing.topology_errors)
    return [
        ("State", f"{state}{since}"),
        ("Delivered", rate(standing.delivered_per_s)),
        ("Not as configured", errors or "nothing"),
    ]


def _lanes(rows: Sequence[Row], standing: Standing, now: float) -> list[tuple[str, str, str, str]]:
    """Return what waits by routing key, blocked ones first."""
    blocked = {lane.routing_key for lane in standing.lanes}
    by_key: dict[str, list[Row]] = {}
    for row in rows:
        by_key.setdefault(row.routing_key, []).append(row)
    more = "at least " if len(rows) == MOST else ""
    return [
        (
            f"`{key}`",
            more + number(len(waiting)),
            clock(waiting[0].received_at_us / 1_000_000, now),
            "a queue refuses it" if key in blocked else "waits for the broker",
        )
        for key, waiting in sorted(by_key.items(), key=lambda item: item[0] not in blocked)
    ]


def _refused(row: Row, now: float) -> dict[str, object]:
    return {
        "id": row.id,
        "heading": f"{row.trigger.replace('_', ' ')} {row.entity}: {row.status.replace('_', ' ')}",
        "facts": [
            ("Why", escaped(row.why, 500)),
            ("Received", clock(row.received_at_us / 1_000_000, now)),
            ("Routing key", f"`{row.routing_key}`"),
            ("Id", f"`{row.id}`"),
        ],
    }


def _unroutable(calls: Calls) -> Iterator[dict[str, object]]:
    """Yield the routing keys whose events came back, with how many and when."""
    by_key: dict[str, list[float]] = {}
    bound: set[str] = set()
    for row in calls:
        if row.fate is not None and row.fate.state == "unroutable":
            by_key.setdefault(row.call.routing_key, []).append(row.call.at)
            bound |= {row.call.routing_key} if row.fate.bound_since else set()
    for key, moments in by_key.items():
        binding = f"{key.rpartition('.')[0]}.*"
        yield {
            "name": key,
            "count": len(moments),
            "first": min(moments),
            "last": max(moments),
            "binding": binding,
            "bound": key in bound,
        }


def _objects(settings: Settings, standing: Standing) -> Iterator[tuple[str, str, str, str]]:
    """Yield the exchanges and queues that are configured, and what is said of each."""
    amqp = settings.amqp
    wanted = [
        (f"exchange `{amqp.exchange}`", "topic, durable"),
        ("exchange `tms.unroutable`", "fanout, durable"),
        ("queue `tms.unroutable`", "quorum"),
        ("exchange `tms.quarantine`", "fanout, durable"),
        ("queue `tms.quarantine`", "quorum"),
        *(
            (f"queue `{queue.name}`", f"quorum; bound to {', '.join(queue.bindings)}")
            for queue in amqp.queues
        ),
    ]
    for what, should in wanted:
        name = what.split("`")[1]
        errors = [error for error in standing.topology_errors if name in error]
        if standing.broker == "down":
            yield what, should, "not known: the broker is away", "Waits"
        else:
            yield what, should, "; ".join(errors) or "as configured", "Differs" if errors else "Right"


def _cards(board: Board, settings: Settings, now: float) -> list[dict[str, object]]:
    standing = board.standing()
    in_force = clock(standing.configured_at, now) if standing.configured_at is not None else "the start"
    refused = "none"
    if standing.reload_refused_at is not None:
        refused = f"{clock(standing.reload_refused_at, now)}: {standing.reload_reason}"
    pending = ", ".join(f"`{key}`" for key in standing.restart_pending) or "nothing"
    reloads = [("In force since", in_force), ("Refused", refused), ("Waits for a restart", pending)]
    used = [
        (
            f"{name}, {credential.name}",
            clock(at, now) if (at := board.calls.used(name, credential.name)) else "unused",
        )
        for name, one in settings.sources.items()
        for credential in one.credentials
    ]
    replica = [
        ("Name", board.replica),
        ("Version", board.version),
        ("Others", ", ".join(settings.admin.replicas) or "none"),
    ]
    return [
        {"title": "Reloads", "facts": reloads},
        {"title": "Credentials, last used", "facts": used},
        {"title": "This replica", "facts": replica},
    ]


_DEFAULT: Final = "default"


def _keys(table: msgspec.Struct, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield each key of the configuration with its value and where that is from; a secret as a mask."""
    kinds = inspect.type_info(type(table))
    if not isinstance(kinds, inspect.StructType):
        return
    for field in kinds.fields:
        value = getattr(table, field.name)
        key = f"{path}.{field.name}".strip(".")
        if _is_hidden(field.type):
            yield f"`{key}`", MASK if value else "none", "file" if value else _DEFAULT
        elif isinstance(value, msgspec.Struct):
            yield from _keys(value, key)
        elif isinstance(value, dict) and all(isinstance(one, msgspec.Struct) for one in value.values()):
            for name, one in value.items():
                yield from _keys(one, f"{key}.{name}")
        elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
            for place, one in enumerate(value):
                yield from _keys(one, f"{key}[{place}]")
        else:
            is_default = not field.required and value == field.default
            yield f"`{key}`", escaped(_shown(value), 500), _DEFAULT if is_default else "file"


def _is_hidden(kind: inspect.Type) -> bool:
    """Return whether a value of this type is, or holds, a secret."""
    if isinstance(kind, inspect.Metadata):
        return bool((kind.extra or {}).get(HIDDEN)) or _is_hidden(kind.type)
    inner = [
        *getattr(kind, "types", ()),
        *(getattr(kind, name) for name in ("item_type", "value_type") if hasattr(kind, name)),
    ]
    return any(_is_hidden(one) for one in inner)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, {}) else str(value)
