"""The two listeners: their addresses, tokens and certificates, and what is wrong with them."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tms_bridge.settings.model import Mistake, Settings, Tls
from tms_bridge.settings.network import parse_listen

TOKEN_NAME: Final = "admin"  # noqa: S105 - a name, for the log
"""What the audit log calls the holder of `admin.token`."""

_BODILESS: Final = frozenset({204, 205})

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption alone; what 1.3 has is good as it is."""


def find_problems(settings: Settings) -> Iterator[Mistake]:
    """Yield what is wrong with `[http]`, `[admin]` and `[outbox]`."""
    yield from _listens("http.listen", settings.http.listen)
    yield from _listens("admin.listen", settings.admin.listen)
    yield from _shared(settings)
    yield from _tokens(settings)
    if settings.http.success_status in _BODILESS:
        yield Mistake(
            "http.success_status",
            f"{settings.http.success_status} allows no body, which names the event; use 200 or 202",
        )
    if settings.outbox is not None and not settings.outbox.dir.strip("\0 "):
        yield Mistake("outbox.dir", "is empty; name a directory on a local disk")


def _tokens(settings: Settings) -> Iterator[Mistake]:
    admin = settings.admin
    named = [(f"admin.tokens[{at}]", token) for at, token in enumerate(admin.tokens)]
    secrets = [("admin.token", admin.token), *((f"{key}.token", token.token) for key, token in named)]
    for key, secret in secrets:
        if secret is not None and not (secret.isascii() and secret.strip()):
            yield Mistake(key, "must be ASCII text that is not blank; leave it out to do without")
        elif secret is not None and (same := next(one for one, other in secrets if other == secret)) != key:
            yield Mistake(key, f"is the same as {same}; each holder needs a token of their own")
    for key, token in named:
        if token.name == TOKEN_NAME or [one.name for _, one in named].count(token.name) > 1:
            yield Mistake(f"{key}.name", f'"{token.name}" is taken; the audit log needs a name for each')
        if token.sources is not None and token.role == "operator":
            yield Mistake(f"{key}.sources", "limit what a viewer sees; an operator always has every source")
        for name in token.sources or ():
            if name not in settings.sources:
                yield Mistake(f"{key}.sources", f'there is no source "{name}"')


def _listens(key: str, value: str | tuple[str, ...]) -> Iterator[Mistake]:
    if isinstance(value, str):
        yield from _listen(key, value)
        return
    if not value:
        yield Mistake(key, "is an empty list; name at least one address and port")
    for at, text in enumerate(value):
        yield from _listen(f"{key}[{at}]", text)


def _listen(key: str, text: str) -> Iterator[Mistake]:
    try:
        parse_listen(text)
    except ValueError as error:
        yield Mistake(key, str(error))


def _shared(settings: Settings) -> Iterator[Mistake]:
    """Yield addresses that stand twice; port 0 is a new port each time."""
    seen: set[str] = set()
    for key, value in (("http.listen", settings.http.listen), ("admin.listen", settings.admin.listen)):
        for text in (value,) if isinstance(value, str) else value:
            if text in seen and not text.endswith(":0"):
                yield Mistake(key, f'"{text}" is used twice; give each listener its own port')
            seen.add(text)


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return a server's context: TLS 1.2 and 1.3, and a client certificate where `client_ca` asks for one.

    Raises:
        OSError: a file cannot be read, or does not hold what it should; ssl.SSLError is one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_COMPRESSION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    renew(context, tls)
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def renew(context: ssl.SSLContext, tls: Tls) -> None:
    """Take over the certificates as they are now, for handshakes from now on; raises as `context_of`."""
    # Without an answer OpenSSL would ask the terminal for the password of an encrypted key.
    context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    if tls.client_ca is not None:
        context.load_verify_locations(cafile=tls.client_ca)


class Certificates:
    """The contexts of both listeners, for as long as they listen; None where there is no TLS."""

    def __init__(self, settings: Settings) -> None:
        self._http, self._admin = settings.http.tls, settings.admin.tls
        self.http = None if self._http is None else context_of(self._http)
        self.admin = None if self._admin is None else context_of(self._admin)
        self.ask_callers(settings)

    def renew(self) -> None:
        """Read the files anew; both must be right before either is taken. Raises as `context_of`."""
        listeners = [(self.http, self._http), (self.admin, self._admin)]
        used = [(context, tls) for context, tls in listeners if context is not None and tls is not None]
        for _, tls in used:
            context_of(tls)
        for context, tls in used:
            renew(context, tls)

    def ask_callers(self, settings: Settings) -> None:
        """Let callers of webhooks in without a certificate where it is one credential of several."""
        if self.http is None or self._http is None or self._http.client_ca is None:
            return
        credentials = [one for source in settings.sources.values() for one in source.credentials]
        named = any(one.client_certificate for one in credentials)
        self.http.verify_mode = ssl.CERT_OPTIONAL if named else ssl.CERT_REQUIRED


def _no_password() -> str:
    return ""


def certificate_problems(settings: Settings) -> Iterator[Mistake]:
    """Yield what is wrong with the certificates; paths must be absolute."""
    for table, tls in (("http.tls", settings.http.tls), ("admin.tls", settings.admin.tls)):
        if tls is not None and (problem := _problem(table, tls)) is not None:
            yield problem
    if settings.http.tls is not None and settings.http.client_address == "proxy-protocol":
        yield Mistake(
            "http.tls",
            "does not go with PROXY protocol, whose header stands before TLS; let the proxy do TLS",
        )


def certificate_files(settings: Settings) -> list[Path]:
    """Return the files of the certificates, for whoever watches them for changes."""
    tables = [tls for tls in (settings.http.tls, settings.admin.tls) if tls is not None]
    names = [name for tls in tables for name in (tls.certificate, tls.key, tls.client_ca)]
    return [Path(name) for name in names if name is not None]


def pinned(tls: Tls) -> ssl.SSLContext:
    """Return a client's context that takes this very certificate, whatever name the server is called by."""
    context = ssl.create_default_context(cafile=tls.certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    if tls.client_ca is not None:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    return context


def _problem(table: str, tls: Tls) -> Mistake | None:
    for key in ("certificate", "key", "client_ca"):
        name = getattr(tls, key)
        try:
            Path(name or tls.key).open("rb").close()
        except (OSError, ValueError) as error:
            return Mistake(f"{table}.{key}", f"{name} cannot be read ({error})")
    try:
        context_of(tls)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        return Mistake(
            table,
            f"cannot be used ({reason}); certificate and client_ca are PEM, the key is the certificate's and "
            "has no password",
        )
    return None
