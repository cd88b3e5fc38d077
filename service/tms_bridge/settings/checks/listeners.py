"""The two listeners, and the outbox directory."""

from collections.abc import Iterator
from typing import Final

from tms_bridge.settings.model import Settings
from tms_bridge.settings.network import parse_listen
from tms_bridge.settings.problem import Mistake

TOKEN_NAME: Final = "admin"  # noqa: S105 - a name, for the log
"""What the audit log calls the holder of `admin.token`."""

_BODILESS: Final = frozenset({204, 205})


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
