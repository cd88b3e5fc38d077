"""The broker's URLs, the names that RabbitMQ takes, and which routing keys a binding takes."""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tms_bridge.message import QUARANTINE_EXCHANGE, UNROUTABLE_EXCHANGE
from tms_bridge.settings.model import Amqp, Archive, Mistake, Queue
from tms_events.topics import STATUSES

SHORT_STRING_BYTES: Final = 255
"""The longest name or routing key that AMQP 0-9-1 can carry."""

_OWN: Final = frozenset({UNROUTABLE_EXCHANGE, QUARANTINE_EXCHANGE})
_AGE: Final = re.compile(r"[1-9][0-9]{0,8}[mhd]")
_TLS: Final = frozenset({"cafile", "capath", "certfile", "keyfile"})
_REFUSED: Final = dict.fromkeys(
    ("ca_certs", "cert_reqs", "ssl_version", "ssl_options", "verify", "cacertfile"), "it would be ignored"
) | {
    "cadata": "write the certificates to a file",
    "no_verify_ssl": "the broker's certificate is always verified",
}
"""What other clients take for TLS and this one does not, with why."""


def find_problems(amqp: Amqp) -> Iterator[Mistake]:
    """Yield what is wrong with `[amqp]`."""
    if not amqp.urls:
        yield Mistake("amqp.urls", 'is empty; name a broker, as in ["amqp://user:password@host:5672/"]')
    for at, url in enumerate(amqp.urls):
        if (complaint := _url(url)) is not None:
            yield Mistake(f"amqp.urls[{at}]", complaint)
    if (complaint := _name(amqp.exchange)) is not None:
        yield Mistake("amqp.exchange", complaint)
    for at, queue in enumerate(amqp.queues):
        yield from _queue(f"amqp.queues[{at}]", queue)
    names = [queue.name for queue in amqp.queues]
    if amqp.archive is not None:
        yield from _archive(amqp.archive, names)
    for at, name in enumerate(names):
        if name in names[:at]:
            yield Mistake(
                f"amqp.queues[{at}].name", f'"{name}" stands twice; put all its bindings in one table'
            )


def _url(url: str) -> str | None:
    """Return what is wrong with a URL, without showing it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return (
            "is not a URL: its host or port cannot be read; percent-encode special characters in the password"
        )
    if parts.scheme not in ("amqp", "amqps"):
        return "must start with amqp:// or amqps://"
    if not host:
        return "names no host; write amqps://user:password@host:5671/vhost"
    return _options({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}, parts.scheme)


def _options(options: set[str], scheme: str) -> str | None:
    if scheme == "amqp" and (tls := options & (_TLS | _REFUSED.keys())):
        return f"has TLS options ({', '.join(sorted(tls))}) but amqp:// never uses TLS; write amqps://"
    if refused := sorted(options & _REFUSED.keys()):
        known = ", ".join(sorted(_TLS))
        return f"has the option {refused[0]}, which is not supported: {_REFUSED[refused[0]]}; use {known}"
    return None


def _name(name: str) -> str | None:
    """Return why RabbitMQ, or the bridge, would not take a name for an exchange or queue."""
    if not name.strip():
        return "is empty"
    if len(name.encode()) > SHORT_STRING_BYTES:
        return f"is longer than {SHORT_STRING_BYTES} bytes"
    if name.startswith("amq."):
        return "starts with amq., which is reserved for the broker"
    return f"{name} is the bridge's own; choose another" if name in _OWN else None


def _queue(key: str, queue: Queue) -> Iterator[Mistake]:
    if (complaint := _name(queue.name)) is not None:
        yield Mistake(f"{key}.name", complaint)
    if not queue.bindings:
        yield Mistake(
            f"{key}.bindings", 'is empty, so that nothing would reach the queue; "tms.#" matches all'
        )
    for at, binding in enumerate(queue.bindings):
        if (complaint := _binding(binding)) is not None:
            yield Mistake(f"{key}.bindings[{at}]", complaint)


def _archive(archive: Archive, queues: Sequence[str]) -> Iterator[Mistake]:
    if (complaint := _name(archive.name)) is not None:
        yield Mistake("amqp.archive.name", complaint)
    if archive.name in queues:
        yield Mistake(
            "amqp.archive.name", f"{archive.name} is a queue of [[amqp.queues]] too; choose another"
        )
    if not _AGE.fullmatch(archive.max_age):
        yield Mistake("amqp.archive.max_age", 'must be a number and one of m, h or d, as in "36h" or "7d"')


def _binding(binding: str) -> str | None:
    if len(binding.encode()) > SHORT_STRING_BYTES:
        return f"is longer than {SHORT_STRING_BYTES} bytes"
    for word in binding.split("."):
        if not word or any(letter.isspace() for letter in word):
            return f'"{binding}" has an empty word, or a space; words are separated by single dots'
        if word not in ("*", "#") and ("*" in word or "#" in word):
            return f'"{binding}": * stands for one whole word and # for any number of them, not for "{word}"'
    return None


def routing_keys(prefix: str) -> list[str]:
    """Return every routing key that a source of this prefix can send to."""
    return [f"{prefix}.{trigger}.{status}" for trigger, statuses in STATUSES.items() for status in statuses]


def takes(binding: str, key: str) -> bool:
    """Return whether a binding matches a routing key, as a topic exchange does."""
    return _takes(binding.split("."), key.split("."))


def _takes(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return _takes(rest, words) or (bool(words) and _takes(pattern, words[1:]))
    return bool(words) and first in ("*", words[0]) and _takes(rest, words[1:])
