"""The configuration as values: one struct a table of the TOML file; and what may be wrong with one.

A field's `description` is its text in the generated configuration reference, so it is written for the
person who sets it; bounds stand beside it. A field marked HIDDEN is never shown, not even by `repr`.
Values are read, checked and filled with secrets by `settings.load`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

ClientAddress = Literal["peer", "x-forwarded-for", "forwarded", "proxy-protocol"]
OnUnlistedAddress = Literal["refuse", "hold"]
Role = Literal["viewer", "operator"]

HIDDEN: Final = "hidden"
"""Key of `Meta.extra` on a value that must come from the environment or a file, and is never shown."""

Secret = Annotated[str, Meta(extra={HIDDEN: True})]

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""RabbitMQ 4 takes 16 MiB a message, which holds the body, its typed copy and their escapes."""

MAX_HEAD_BYTES: Final = 1024 * 1024

_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
"""What stands in a key of TOML without quotes."""


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS 1.2 and 1.3 where no proxy does it; absent: plain HTTP. Renewed files are taken over."""

    certificate: Annotated[str, Meta(description="PEM file: the certificate, then those up to its CA.")]
    key: Annotated[str, Meta(description="PEM file: its private key, without a password.")]
    client_ca: Annotated[
        str | None,
        Meta(
            description="PEM file of CAs: every caller must show a certificate of one; of webhooks only may, "
            "once a source has a `client_certificate`."
        ),
    ] = None


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The webhook listener."""

    listen: Annotated[
        str | tuple[str, ...],
        Meta(
            description="Address and port, or a list of them: `0.0.0.0:8080`, `[::]:8080`, `:8080` for all."
        ),
    ] = "0.0.0.0:8080"
    url: Annotated[
        str | None,
        Meta(description="Where TMS reaches this listener, as `https://hooks.example.com`; for the console."),
    ] = None
    client_address: Annotated[
        ClientAddress,
        Meta(
            description="Where the caller's address comes from: the connection, or what a trusted proxy says."
        ),
    ] = "peer"
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Addresses and CIDR ranges that are trusted to name the client address."),
    ] = ()
    max_body_bytes: Annotated[
        int, Meta(ge=1, le=MAX_BODY_BYTES, description="A longer body is answered 413; at most 4 MiB.")
    ] = 262_144
    deadline_s: Annotated[
        float,
        Meta(gt=0, description="Every answer comes within it; must be less than every source's `timeout_s`."),
    ] = 5.0
    max_head_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=MAX_HEAD_BYTES,
            description="A longer head (request line and headers) is answered 431.",
        ),
    ] = 32_768
    head_timeout_s: Annotated[
        float, Meta(gt=0, description="A head that is not complete within it is answered 408.")
    ] = 10.0
    idle_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            description="A quiet connection is closed after it; longer than a proxy keeps its own.",
        ),
    ] = 120.0
    max_connections: Annotated[
        int,
        Meta(
            ge=0,
            description="Open at once; then the longest idle gives way. 0: what descriptors allow.",
        ),
    ] = 0
    max_connections_per_peer: Annotated[
        int, Meta(ge=1, description="The same for one address (an IPv6 /64); trusted proxies are exempt.")
    ] = 256
    max_in_flight: Annotated[
        int,
        Meta(
            ge=1, description="Webhooks worked on at once; more get 503. Half is kept evenly for the sources."
        ),
    ] = 1000
    success_status: Annotated[
        int, Meta(ge=200, le=299, description="The answer to an event that is durable.")
    ] = 202
    shutdown_delay_s: Annotated[
        float, Meta(ge=0, description="How long to go on serving, not ready, after SIGTERM.")
    ] = 5.0
    drain_timeout_s: Annotated[
        float, Meta(ge=0, description="How long to go on publishing what waits before the process ends.")
    ] = 20.0
    tls: Annotated[Tls | None, Meta(description="TLS on this listener; absent: a proxy does it.")] = None


class AdminToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more token of the admin listener, by name."""

    name: Annotated[str, Meta(min_length=1, description="Names its holder in the audit log; not a secret.")]
    token: Annotated[Secret, Meta(description="From `${NAME}` or `${file:/path}`.")]
    role: Annotated[
        Role, Meta(description="A viewer looks; an operator also changes rows and opens bodies.")
    ] = "viewer"
    sources: Annotated[
        tuple[str, ...] | None,
        Meta(description="What a viewer may see; absent: every source, and the bridge itself."),
    ] = None

    def __repr__(self) -> str:
        """Show everything but the token."""
        return f"AdminToken(name={self.name!r}, role={self.role!r}, sources={self.sources!r})"


class Admin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The admin listener: probes, metrics, console, API."""

    listen: Annotated[str | tuple[str, ...], Meta(description="Address and port, or a list of them.")] = (
        "127.0.0.1:8081"
    )
    token: Annotated[
        Secret | None,
        Meta(description="Bearer token of the API, which stays off beyond loopback without one."),
    ] = None
    tokens: Annotated[
        tuple[AdminToken, ...],
        Meta(description="More tokens, an `[[admin.tokens]]` table each; `token` is an operator's."),
    ] = ()
    replicas: Annotated[
        tuple[str, ...],
        Meta(
            description="Where the consoles of the other replicas are, for links: `https://bridge-1.example`."
        ),
    ] = ()
    tls: Annotated[Tls | None, Meta(description="TLS on this listener; absent: a proxy does it.")] = None

    def __repr__(self) -> str:
        """Show everything but the tokens."""
        token = "***" if self.token else None
        return f"Admin(listen={self.listen!r}, token={token}, tokens={self.tokens!r})"


class Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quorum queue that the bridge declares for a consumer's convenience."""

    name: Annotated[str, Meta(description="The queue's name.")]
    bindings: Annotated[tuple[str, ...], Meta(description="Topic patterns: `tms.class.*`, `tms.#`.")]


class Archive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One RabbitMQ stream that keeps every event of the exchange for a while."""

    name: Annotated[str, Meta(description="The stream's name.")] = "tms.archive"
    max_age: Annotated[
        str,
        Meta(
            description="Older events are dropped: a number and `h` or `d`, or `m` for minutes, as in `7d`."
        ),
    ] = "7d"
    max_bytes: Annotated[
        int, Meta(ge=1_000_000, description="Beyond it the oldest events are dropped, a segment at a time.")
    ] = 10_737_418_240


class Amqp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker."""

    urls: Annotated[tuple[Secret, ...], Meta(description="Brokers, tried in turn; `amqps://` for TLS.")]
    exchange: Annotated[str, Meta(description="The topic exchange that events go to.")] = "tms.events"
    declare: Annotated[
        bool, Meta(description="Create exchanges and queues; false: only check that they are there.")
    ] = True
    heartbeat_s: Annotated[
        int,
        Meta(ge=1, le=65_535, description="AMQP heartbeat; a silent broker is given up after about three."),
    ] = 10
    confirm_timeout_s: Annotated[
        float,
        Meta(gt=0, description="A confirm that takes longer ends the connection; the event goes again."),
    ] = 60.0
    max_outstanding: Annotated[
        int, Meta(ge=1, le=4096, description="Publishes that may wait for their confirm at once.")
    ] = 256
    queues: Annotated[
        tuple[Queue, ...], Meta(description="Queues to declare, a `[[amqp.queues]]` table each.")
    ] = ()
    archive: Annotated[
        Archive | None, Meta(description="Keep every event for a while; absent: no archive.")
    ] = None

    def __repr__(self) -> str:
        """Show everything but the URLs, which hold passwords."""
        return f"Amqp(urls=<{len(self.urls)}>, exchange={self.exchange!r}, queues={self.queues!r})"


class Outbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal on disk; without this table a 2xx waits for the broker's confirm."""

    dir: Annotated[
        str, Meta(description="Its directory, on a local disk, one process each; made when missing.")
    ]
    max_bytes: Annotated[
        int, Meta(ge=1, description="Of stored rows; beyond it webhooks are answered 503.")
    ] = 1_073_741_824
    min_free_bytes: Annotated[
        int, Meta(ge=0, description="Free space that the disk must keep; below it webhooks are answered 503.")
    ] = 268_435_456


class Held(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events from an unlisted address that wait for their release."""

    max_bytes: Annotated[
        int, Meta(ge=1, description="Of held events, apart from the outbox's room; beyond it they get 503.")
    ] = 104_857_600


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bodies that could not be understood, and those that are held."""

    max_bytes: Annotated[
        int,
        Meta(ge=1, description="Of quarantined bodies; beyond it only undecodable ones are answered 503."),
    ] = 104_857_600
    max_age_days: Annotated[float, Meta(gt=0, description="Older bodies are dropped.")] = 30


class Dedup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recognition of TMS's own retries."""

    window_s: Annotated[
        float, Meta(ge=0, description="How long TMS's retry of an unanswered body is recognised.")
    ] = 120.0


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Basic username and password."""

    username: Annotated[str, Meta(description="Without a colon.")]
    password: Annotated[Secret, Meta(description="From `${NAME}` or `${file:/path}`.")]

    def __repr__(self) -> str:
        """Show nothing."""
        return "Basic(***)"


class Credential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to prove that TMS calls; any credential of a source opens the door."""

    name: Annotated[str, Meta(description="Names it in logs and metrics; not a secret.")]
    basic: Annotated[
        Basic | None, Meta(description="A username and password; or one of the other two, never both.")
    ] = None
    headers: Annotated[
        dict[str, Secret] | None, Meta(description="Headers that must all have these values.")
    ] = None
    client_certificate: Annotated[
        str | None,
        Meta(description="A name in the caller's certificate, which a CA in `http.tls.client_ca` signed."),
    ] = None

    def __repr__(self) -> str:
        """Show the name alone."""
        return f"Credential(name={self.name!r})"


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sender: an organisation in TMS, with its own credentials and allowlist."""

    allow_from: Annotated[
        tuple[str, ...],
        Meta(description="Addresses, CIDR ranges, `skillable-tms`, `any`, or `@file`: a list, one a line."),
    ]
    credentials: Annotated[
        tuple[Credential, ...], Meta(description="A `[[sources.NAME.credentials]]` table each; any will do.")
    ]
    on_unlisted_address: Annotated[
        OnUnlistedAddress,
        Meta(
            description="Valid credentials from another address: answer 403, or hold the event in quarantine."
        ),
    ] = "refuse"
    timeout_s: Annotated[float, Meta(gt=0, description="Timeout Seconds of the webhook, as set in TMS.")] = (
        10.0
    )
    derive_status: Annotated[
        bool, Meta(description="Derive a course assignment's status from its dates if the body gives none.")
    ] = False
    routing_key_prefix: Annotated[str, Meta(description="The first words of the routing key.")] = "tms"
    payload: Annotated[
        Literal["verbatim", "omit"],
        Meta(description="Whether messages hold the sender's JSON value beside what was read from it."),
    ] = "verbatim"
    fields: Annotated[
        dict[str, dict[str, str]],
        Meta(description='JSON Pointers to fields: `[sources.NAME.fields.class]` `status = "/State"`.'),
    ] = {}


class Logging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log on standard output."""

    format: Annotated[
        Literal["json", "console"] | None,
        Meta(description="For machines or for people; absent: for people on a terminal, JSON elsewhere."),
    ] = None
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is logged.")
    ] = "info"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    http: Http = Http()
    admin: Admin = Admin()
    amqp: Amqp
    outbox: Outbox | None = None
    held: Held = Held()
    quarantine: Quarantine = Quarantine()
    dedup: Dedup = Dedup()
    sources: dict[str, Source]
    log: Logging = Logging()


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong at which key, in words that say how to mend it and show no secret."""

    key: str
    text: str

    def __str__(self) -> str:
        """Return `key: text`, or the text alone where it concerns the whole file."""
        return f"{self.key}: {self.text}" if self.key else self.text


def join(parent: str, key: str) -> str:
    """Return the dotted name of a key in a table, quoted where TOML would quote it."""
    shown = key if key and _BARE.issuperset(key) else f'"{key}"'
    return f"{parent}.{shown}" if parent else shown
