"""The two listeners, and the outbox directory."""

from collections.abc import Iterator
from typing import Final

from tms_bridge.settings.model import Settings
from tms_bridge.settings.network import parse_listen
from tms_bridge.settings.problem import Problem

_BODILESS: Final = frozenset({204, 205})


def find_problems(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with `[http]`, `[admin]` and `[outbox]`."""
    yield from _listens("http.listen", settings.http.listen)
    yield from _listens("admin.listen", settings.admin.listen)
    yield from _shared(settings)
    if settings.admin.token is not None and not (
        settings.admin.token.isascii() and settings.admin.token.strip()
    ):
        yield Problem(
            "admin.token", "must be ASCII text that is not blank; leave the key out to do without a token"
        )
    if settings.http.success_status in _BODILESS:
        yield Problem(
            "http.success_status",
            f"{settings.http.success_status} allows no body, which names the event; use 200 or 202",
        )
    if settings.outbox is not None and not settings.outbox.dir.strip("\0 "):
        yield Problem("outbox.dir", "is empty; name a directory on a local disk")


def _listens(key: str, value: str | tuple[str, ...]) -> Iterator[Problem]:
    if isinstance(value, str):
        yield from _listen(key, value)
        return
    if not value:
        yield Problem(key, "is an empty list; name at least one address and port")
    for at, text in enumerate(value):
        yield from _listen(f"{key}[{at}]", text)


def _listen(key: str, text: str) -> Iterator[Problem]:
    try:
        parse_listen(text)
    except ValueError as error:
        yield Problem(key, str(error))


def _shared(settings: Settings) -> Iterator[Problem]:
    """Yield addresses that stand twice; port 0 is a new port each time."""
    seen: set[str] = set()
    for key, value in (("http.listen", settings.http.listen), ("admin.listen", settings.admin.listen)):
        for text in (value,) if isinstance(value, str) else value:
            if text in seen and not text.endswith(":0"):
                yield Problem(key, f'"{text}" is listened on twice; give each listener its own port')
            seen.add(text)
