"""The configuration as values: one struct a table of the TOML file.

Every field's one-line docstring is the text of the generated configuration reference, so write it for
the person who sets it. Values are checked and secrets filled in by `settings.load`.
"""

from typing import Literal

import msgspec

ClientAddress = Literal["peer", "x-forwarded-for", "forwarded", "proxy-protocol"]
OnUnlistedAddress = Literal["refuse", "hold"]


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The webhook listener."""

    listen: str | tuple[str, ...] = "0.0.0.0:8080"
    client_address: ClientAddress = "peer"
    trusted_proxies: tuple[str, ...] = ()
    max_body_bytes: int = 262_144
    deadline_s: float = 5.0
    max_in_flight: int = 1000
    success_status: int = 202
    shutdown_delay_s: float = 5.0
    drain_timeout_s: float = 20.0


class Admin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The admin listener: probes, metrics, API."""

    listen: str | tuple[str, ...] = "127.0.0.1:8081"
    token: str | None = None


class Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quorum queue that the bridge declares for a consumer's convenience."""

    name: str
    bindings: tuple[str, ...]


class Amqp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker."""

    urls: tuple[str, ...]
    exchange: str = "tms.events"
    declare: bool = True
    heartbeat_s: int = 10
    confirm_timeout_s: float = 60.0
    max_outstanding: int = 256
    queues: tuple[Queue, ...] = ()


class Outbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal on disk; without this table a 2xx waits for the broker's confirm."""

    dir: str
    max_bytes: int = 1_073_741_824
    min_free_bytes: int = 268_435_456


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bodies that could not be understood, and those that are held."""

    max_bytes: int = 104_857_600
    max_age_days: float = 30


class Dedup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recognition of TMS's own retries."""

    window_s: float = 120.0


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Basic username and password."""

    username: str
    password: str


class Credential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to prove that TMS calls; any credential of a source opens the door."""

    name: str
    basic: Basic | None = None
    headers: dict[str, str] | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sender: an organisation in TMS, with its own credentials and allowlist."""

    allow_from: tuple[str, ...]
    credentials: tuple[Credential, ...]
    on_unlisted_address: OnUnlistedAddress = "refuse"
    timeout_s: float = 10.0
    derive_status: bool = False
    routing_key_prefix: str = "tms"
    fields: dict[str, dict[str, str]] = {}


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log on standard output."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    amqp: Amqp
    sources: dict[str, Source]
    http: Http = Http()
    admin: Admin = Admin()
    outbox: Outbox | None = None
    quarantine: Quarantine = Quarantine()
    dedup: Dedup = Dedup()
    log: Log = Log()
