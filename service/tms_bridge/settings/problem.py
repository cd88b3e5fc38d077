"""One thing that is wrong with a configuration, or that is likely to be a trap."""

from typing import Final

import msgspec


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong at which key, in words that say how to mend it and show no secret."""

    key: str
    text: str

    def __str__(self) -> str:
        """Return `key: text`, or the text alone where it concerns the whole file."""
        return f"{self.key}: {self.text}" if self.key else self.text


_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def join(parent: str, key: str) -> str:
    """Return the dotted name of a key in a table, quoted where TOML would quote it."""
    shown = key if key and _BARE.issuperset(key) else f'"{key}"'
    return f"{parent}.{shown}" if parent else shown
