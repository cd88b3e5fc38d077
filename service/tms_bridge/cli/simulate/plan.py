"""What a simulation is to do."""

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
