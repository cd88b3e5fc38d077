"""A simulation: what it is to send, and what came of it."""

from array import array
from typing import Literal

import msgspec

MAX_RETRIES = 5
"""TMS takes no higher number."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation, from its first event to its last.

    Attributes:
        url: where the bridge listens, without the path of the webhook.
        source: the configured source whose webhooks are called.
        headers: what TMS's HttpHeaders field would hold.
        count: events to send; None: until `duration_s` is over.
        duration_s: how long new events begin; those under way are finished with all their retries.
        rate: events a second; None: as fast as the answers come.
        concurrency: requests that are under way at the same time, at most.
        entities: course assignments and classes that live side by side.
        delay_s: TMS's Delay Seconds, before the first call of each event.
        timeout_s: TMS's Timeout Seconds, for each call.
        max_retries: TMS's Max Retries, 0 to 5.
        seed: two runs with the same seed and entities send the same bodies.
        plain: send only the plainest encoding, as a fast sender would.
    """

    url: str
    source: str
    headers: dict[str, str] = {}
    count: int | None = None
    duration_s: float | None = None
    rate: float | None = None
    concurrency: int = 16
    entities: int = 100
    delay_s: float = 0.0
    timeout_s: float = 10.0
    max_retries: int = MAX_RETRIES
    seed: int = 1
    plain: bool = False

    def webhook(self, trigger: str) -> str:
        """Return the address that TMS calls for this trigger."""
        return f"{self.url.rstrip('/')}/webhooks/{self.source}/{trigger.replace('_', '-')}-changed"


Result = Literal["accepted", "retry", "given_up"]


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One call, and what TMS makes of its answer.

    Attributes:
        event: number of the event in this run, in the order in which the first calls began.
        marker: stands in the body as `SimulatedEvent`.
        digest: equals the `tms-digest` header of the delivered message.
        attempt: 1 for the first call.
        sent_at: Unix seconds, as `answered_at`.
        http_status: None when no answer came; `error` then says why.
        result: accepted (any 2xx), retry (TMS will call again), or given_up.
        id: of the event, from the answer, as `outcome` and `routing_key`.
        detail: what a refusal says, and what to do about it.
    """

    event: int
    trigger: str
    status: str
    entity: int
    step: int
    marker: str
    digest: str
    attempt: int
    sent_at: float
    answered_at: float
    http_status: int | None
    error: str | None
    result: Result
    id: str | None = None
    outcome: str | None = None
    routing_key: str | None = None
    durable: str | None = None
    detail: str | None = None


class _Latency(msgspec.Struct, frozen=True):
    """Milliseconds from a call to its whole answer, over all calls that were answered."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


class Report(msgspec.Struct, frozen=True):
    """The sum of a simulation.

    Attributes:
        sent: events that were begun.
        accepted: events that were answered 2xx; `duplicates` and `held` are parts of it, by outcome.
        retried: events that took more than one call.
        given_up: events that TMS would have lost.
        unfinished: events that were under way when the simulation was stopped.
        calls: requests made, retries included; `answers` counts them by HTTP status or error.
        details: what the first refusal of each HTTP status said.
    """

    sent: int
    accepted: int
    duplicates: int
    held: int
    retried: int
    given_up: int
    unfinished: int
    calls: int
    answers: dict[str, int]
    details: dict[str, str]
    elapsed_s: float
    accepted_per_s: float
    latency: _Latency | None


class Score:
    """Counts attempts as they end; small, since a simulation may make millions."""

    def __init__(self) -> None:
        self.sent = 0
        self.accepted = 0
        self.given_up = 0
        self._retried = 0
        self._outcomes: dict[str, int] = {}
        self._answers: dict[str, int] = {}
        self._details: dict[str, str] = {}
        self._calls = 0
        self._latencies_ms = array("f")

    def add(self, attempt: Attempt) -> None:
        """Count one attempt."""
        self._calls += 1
        self._retried += attempt.attempt == 2  # noqa: PLR2004 - the second call is what makes a retry
        self.accepted += attempt.result == "accepted"
        self.given_up += attempt.result == "given_up"
        answer = str(attempt.http_status or attempt.error)
        self._answers[answer] = self._answers.get(answer, 0) + 1
        if attempt.detail:
            self._details.setdefault(answer, attempt.detail)
        if attempt.outcome:
            self._outcomes[attempt.outcome] = self._outcomes.get(attempt.outcome, 0) + 1
        if attempt.http_status:
            self._latencies_ms.append((attempt.answered_at - attempt.sent_at) * 1000)

    def report(self, elapsed_s: float) -> Report:
        """Sum up."""
        return Report(
            sent=self.sent,
            accepted=self.accepted,
            duplicates=self._outcomes.get("duplicate", 0),
            held=self._outcomes.get("held", 0),
            retried=self._retried,
            given_up=self.given_up,
            unfinished=self.sent - self.accepted - self.given_up,
            calls=self._calls,
            answers=dict(sorted(self._answers.items())),
            details=dict(sorted(self._details.items())),
            elapsed_s=round(elapsed_s, 3),
            accepted_per_s=round(self.accepted / elapsed_s, 1) if elapsed_s else 0.0,
            latency=latency(self._latencies_ms),
        )


def latency(values_ms: "array[float]") -> _Latency | None:
    """Return the percentiles, by nearest rank; None without any value."""
    if not values_ms:
        return None
    ordered = sorted(values_ms)

    def at(share: float) -> float:
        return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2)

    return _Latency(at(0.5), at(0.9), at(0.99), at(0.999), at(1.0))
