"""Which routing keys a topic pattern takes."""

from collections.abc import Sequence

from tms_events.topics import STATUSES


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
