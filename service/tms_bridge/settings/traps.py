"""What may be meant but mostly is not, and what cannot be meant: the traps that `tms-bridge check` names."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from tms_bridge.settings.amqp import routing_keys, takes
from tms_bridge.settings.model import Http, Mistake, Settings, Source, join
from tms_bridge.settings.network import ANY, SKILLABLE_TMS, is_loopback, parse_listens, parse_network

_ACCEPTED: Final = 202
_TOKEN_LENGTH: Final = 16
_PASSWORD_LENGTH: Final = 12
_GENEROUS_PREFIX: Final = 8
_POD_NETWORK: Final = {4: 16, 6: 64}
"""The prefix, by IP version, of a range in which a cluster hands addresses to its pods."""

_MARGIN_S: Final = 1.0


def warnings(settings: Settings, literal_secrets: Sequence[str] = ()) -> list[Mistake]:
    """Return the traps in settings that can be used; `literal_secrets` is what `settings.load.read` found."""
    return [
        *_proxies(settings),
        *_http(settings),
        *_admin(settings),
        *_amqp(settings),
        *_bindings(settings),
        *_sources(settings),
        *(
            Mistake(key, "the secret is written in the file itself; take it from ${NAME} or ${file:/path}")
            for key in literal_secrets
        ),
    ]


def contradictions(settings: Settings) -> list[Mistake]:
    """Return what cannot be meant, although the bridge would run with it."""
    return [*_nobody_believed(settings.http), *_never_equal(settings)]


def _nobody_believed(http: Http) -> Iterator[Mistake]:
    if http.client_address != "peer" and not http.trusted_proxies:
        yield Mistake(
            "http.trusted_proxies",
            f"is empty, so that no {http.client_address} header is trusted and every caller seems to be the "
            "proxy; name the proxy's addresses",
        )


def _never_equal(settings: Settings) -> Iterator[Mistake]:
    """Yield secrets with spaces around them in headers, from which HTTP takes such spaces away."""
    secrets = _admin_secrets(settings)
    for name, source in settings.sources.items():
        for at, credential in enumerate(source.credentials):
            key = f"{join('sources', name)}.credentials[{at}].headers"
            secrets += [(join(key, header), value) for header, value in (credential.headers or {}).items()]
    for key, value in secrets:
        if value != value.strip():
            yield Mistake(key, "begins or ends with a space, which no header can carry; take the space away")


def _proxies(settings: Settings) -> Iterator[Mistake]:
    http = settings.http
    if http.client_address == "peer" and http.trusted_proxies:
        yield Mistake(
            "http.trusted_proxies",
            'has no effect with http.client_address = "peer"; name the header that the proxies send',
        )
    for text in http.trusted_proxies:
        yield from _range("http.trusted_proxies", text)
        network = parse_network(text)
        if _GENEROUS_PREFIX <= network.prefixlen <= _POD_NETWORK[network.version]:
            yield Mistake(
                "http.trusted_proxies",
                f'"{text}" is as wide as a pod network, and whoever has an address in it may pose as any '
                "caller; name the addresses of the proxy alone",
            )


def _range(key: str, text: str) -> Iterator[Mistake]:
    network = parse_network(text)
    if network.prefixlen < _GENEROUS_PREFIX:
        yield Mistake(key, f'"{text}" takes in a large part of the internet')
    try:
        ipaddress.ip_network(text.strip())
    except ValueError:
        yield Mistake(key, f'"{text}" has bits beyond its prefix and is taken as "{network}"')


def _http(settings: Settings) -> Iterator[Mistake]:
    http = settings.http
    if http.success_status != _ACCEPTED:
        yield Mistake(
            "http.success_status",
            f"TMS takes any 2xx; {_ACCEPTED} says best that the event is yet to be delivered",
        )
    if all(listen.is_loopback for listen in parse_listens(http.listen)):
        yield Mistake(
            "http.listen", "can be reached from this machine only; TMS needs a proxy here, or 0.0.0.0"
        )
    elif http.client_address == "peer" and http.tls is None:
        yield Mistake(
            "http.listen",
            "takes credentials in clear text from other machines; put a proxy with TLS in front, and name it "
            "in http.trusted_proxies and the header it sends in http.client_address; or set [http.tls]",
        )
    if settings.outbox is None:
        yield Mistake(
            "outbox", "there is none, so that webhooks are answered 503 whenever the broker does not confirm"
        )


def _admin(settings: Settings) -> Iterator[Mistake]:
    admin = settings.admin
    local = all(listen.is_loopback for listen in parse_listens(admin.listen))
    if not _admin_secrets(settings) and not local:
        yield Mistake(
            "admin.token",
            "is not set and admin.listen is reached from other machines, so that the API stays off; "
            "probes and metrics are served",
        )
    if _admin_secrets(settings) and not local and admin.tls is None:
        yield Mistake(
            "admin.listen",
            "takes tokens in clear text from other machines; set [admin.tls], or let no network but the "
            "cluster's reach it",
        )
    for key, secret in _admin_secrets(settings):
        if len(secret) < _TOKEN_LENGTH:
            yield Mistake(key, f"is shorter than {_TOKEN_LENGTH} characters and may be guessed")


def _admin_secrets(settings: Settings) -> list[tuple[str, str]]:
    admin = settings.admin
    named = [(f"admin.tokens[{at}].token", token.token) for at, token in enumerate(admin.tokens)]
    return [*([("admin.token", admin.token)] if admin.token is not None else []), *named]


def _amqp(settings: Settings) -> Iterator[Mistake]:
    for at, url in enumerate(settings.amqp.urls):
        parts = urlsplit(url)
        key = f"amqp.urls[{at}]"
        remote = not is_loopback(parts.hostname or "")
        if remote and parts.scheme == "amqp":
            yield Mistake(key, "sends the password and every event in the clear; amqps:// encrypts them")
        if remote and parts.username in (None, "guest"):
            yield Mistake(key, "the user guest may connect from the broker's own machine alone; name another")


def _bindings(settings: Settings) -> Iterator[Mistake]:
    prefixes = {source.routing_key_prefix for source in settings.sources.values()}
    keys = [key for prefix in sorted(prefixes) for key in routing_keys(prefix)]
    for at, queue in enumerate(settings.amqp.queues):
        for number, binding in enumerate(queue.bindings):
            if not any(takes(binding, key) for key in keys):
                yield Mistake(
                    f"amqp.queues[{at}].bindings[{number}]",
                    f'"{binding}" matches no routing key that a source can send to, such as "{keys[0]}"',
                )


def _sources(settings: Settings) -> Iterator[Mistake]:
    for name, source in settings.sources.items():
        key = join("sources", name)
        yield from _allow_from(f"{key}.allow_from", source)
        yield from _credentials(f"{key}.credentials", source)
        if source.timeout_s - settings.http.deadline_s < _MARGIN_S:
            yield Mistake(
                f"{key}.timeout_s",
                f"leaves less than {_MARGIN_S:g} s over http.deadline_s for the way to TMS and back",
            )


def _credentials(key: str, source: Source) -> Iterator[Mistake]:
    for at, credential in enumerate(source.credentials):
        inner = f"{key}[{at}]"
        if credential.basic is not None:
            yield from _password(f"{inner}.basic.password", credential.basic.password)
        headers = credential.headers or {}
        for name in headers:
            if "_" in name:
                yield Mistake(
                    f"{inner}.headers.{name}",
                    "has an underscore in its name; nginx and others drop such headers, so use hyphens",
                )
        if headers and (longest := max(map(len, headers.values()))) < _PASSWORD_LENGTH:
            yield Mistake(
                f"{inner}.headers", f"{longest} characters may be guessed; use {_PASSWORD_LENGTH} or more"
            )


def _password(key: str, password: str) -> Iterator[Mistake]:
    if password != password.strip():
        yield Mistake(
            key, "begins or ends with a space; TMS must send the space too, so it is probably a mistake"
        )
    if len(password) < _PASSWORD_LENGTH:
        yield Mistake(key, f"is shorter than {_PASSWORD_LENGTH} characters and may be guessed")


def _allow_from(key: str, source: Source) -> Iterator[Mistake]:
    if ANY in source.allow_from:
        yield Mistake(key, f'"{ANY}" leaves the credentials as the only check; "{SKILLABLE_TMS}" is safer')
    for entry in source.allow_from:
        if entry not in (ANY, SKILLABLE_TMS):
            yield from _range(key, entry)
