"""A running bridge at one moment, as plain values: what the sentence, the API and the console are made of."""

from collections.abc import Sequence
from typing import Literal

import msgspec


class BlockedLane(msgspec.Struct, frozen=True):
    """A routing key that a queue refuses, and the events that wait for it."""

    routing_key: str
    since: float
    waiting: int


class RefusedCalls(msgspec.Struct, frozen=True):
    """Calls that were refused for one reason, and not accepted since.

    Attributes:
        reason: right credentials from an unlisted address, wrong ones from a listed address, or a source in
            the URL that is nearly one of ours.
        asked: the source as the URL has it.
        header: the name of the header that carried the wrong credentials.
    """

    reason: Literal["unlisted", "credentials", "source"]
    source: str
    trigger: str
    address: str
    count: int
    since: float
    asked: str = ""
    header: str = "HttpHeaders"


class SourceStanding(msgspec.Struct, frozen=True):
    """One source.

    Attributes:
        called: the triggers whose webhook was called at least once; None where that is not known.
        swapped: bodies kept since `swapped_since` because each came to the other trigger's URL.
        undecodable, held: rows in quarantine that came while this process ran.
        kept_since: when the oldest of them came.
    """

    called: frozenset[str] | None = None
    swapped: int = 0
    swapped_since: float = 0.0
    undecodable: int = 0
    held: int = 0
    kept_since: float | None = None
    last_event_at: float | None = None
    last_delivered_ms: float | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A running bridge as it stands at `now`. Times are Unix seconds; None is never, or not known.

    Attributes:
        drain_timeout_s: how long a shutdown delivers what waits.
        waiting: events in the outbox, the oldest received at `oldest`; all rows take `stored_bytes`.
        free_bytes: what may still be written to its disk.
        broker_error: why it could not be reached last.
        broken: what is wrong with the outbox for good.
        late_s: how long the disk has been busy with one commit; 0 while it is not late.
        full: why nothing more is taken; `unavailable` calls got 503 since then.
        has_outbox: whether events are kept on disk.
        room: how many more events the outbox holds.
        per_s: events taken a second, of late; `delivered_per_s` those that the broker confirmed.
        draining_since: when the broker came back to a backlog that is still being delivered.
        undecodable, held: rows in quarantine, also those that came before this process.
        parked: events that the broker refused for themselves.
        restart_pending: the keys that changed and are not in force yet.
        unroutable: topics that no queue is bound to, and the events that wait for one.
        reload_refused_at: when a new configuration was refused, with `reload_reason`; the one in force is of
            `configured_at`.
        refusals: calls refused in the last ten minutes from addresses on no list, most from `flooding`.
        undecodable, held: rows in quarantine, those of which the source is not known here included.
        max_age_days: how long quarantine keeps a body.
    """

    now: float
    stopping: bool = False
    drain_timeout_s: float = 20.0
    waiting: int = 0
    oldest: float | None = None
    stored_bytes: int = 0
    free_bytes: int = 0
    broken: str = ""
    late_s: float = 0.0
    full: str = ""
    full_since: float | None = None
    unavailable: int = 0
    has_outbox: bool = True
    room: int | None = None
    per_s: float = 0.0
    delivered_per_s: float = 0.0
    broker: Literal["up", "blocked", "down"] = "up"
    broker_since: float | None = None
    broker_error: str = ""
    draining_since: float | None = None
    lanes: Sequence[BlockedLane] = ()
    refused: Sequence[RefusedCalls] = ()
    sources: dict[str, SourceStanding] = {}
    parked: int = 0
    undecodable: int = 0
    held: int = 0
    restart_pending: Sequence[str] = ()
    unroutable_topics: int = 0
    unroutable: int = 0
    unroutable_since: float | None = None
    topology_errors: Sequence[str] = ()
    reload_refused_at: float | None = None
    reload_reason: str = ""
    configured_at: float | None = None
    refusals: int = 0
    flooding: str = ""
    taken: int = 0
    p99_ms: float | None = None
    max_age_days: float = 30.0
