"""A running bridge at one moment, as plain values: what the sentence, the API and the console are made of."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from tms_bridge.settings.model import Settings


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
        undecodable, held: rows in quarantine.
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
        waiting: events in the outbox.
        broken: what is wrong with the outbox for good.
        late_s: how long the disk has been busy with one commit; 0 while it is not late.
        full: why nothing more is taken; `unavailable` calls got 503 since then.
        has_outbox: whether events are kept on disk.
        room: how many more events the outbox holds.
        per_s: events taken a second, of late; `delivered_per_s` those that the broker confirmed.
        draining_since: when the broker came back to a backlog that is still being delivered.
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
    draining_since: float | None = None
    lanes: Sequence[BlockedLane] = ()
    refused: Sequence[RefusedCalls] = ()
    sources: dict[str, SourceStanding] = {}
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
    undecodable: int = 0
    held: int = 0
    max_age_days: float = 30.0


class ConfigurationStanding(msgspec.Struct):
    """Which configuration is in force, and which one was refused since.

    Attributes:
        at: when the one in force was taken over, in Unix seconds.
        refused_at: when a newer one was refused, with `reason`; None where none was.
    """

    settings: Settings
    at: float
    refused_at: float | None = None
    reason: str = ""

    def take_over(self, settings: Settings, now: float) -> None:
        """Note a configuration that is in force from now on."""
        self.settings, self.at, self.refused_at, self.reason = settings, now, None, ""

    def refuse(self, reason: str, now: float) -> None:
        """Note one that is not."""
        self.refused_at, self.reason = now, reason
