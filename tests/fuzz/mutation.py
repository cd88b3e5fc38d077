"""Inputs made of good ones: pieces are cut out, doubled, moved, and put in from a list of words."""

import re
from collections.abc import Sequence
from random import Random

JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^{}\[\],:\s"]+|\s+')
_PUNCTUATION = frozenset((b"{", b"}", b"[", b"]", b",", b":"))


class Mutator:
    """Spoils good inputs, byte by byte."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], most: int = 4) -> None:
        self._seeds = seeds
        self._words = words
        self._most = most
        self._moves = (self._cut, self._insert, self._replace, self._flip, self._double, self._splice)

    def __call__(self, random: Random) -> bytes:
        given = random.choice(self._seeds)
        for _ in range(int(random.random() * self._most) + 1):
            given = random.choice(self._moves)(given, random)
        return given

    def _cut(self, given: bytes, random: Random) -> bytes:
        start = _place(given, random)
        return given[:start] + given[start + 1 + int(random.random() * 12) :]

    def _insert(self, given: bytes, random: Random) -> bytes:
        start = _place(given, random)
        return given[:start] + random.choice(self._words) + given[start:]

    def _replace(self, given: bytes, random: Random) -> bytes:
        start = _place(given, random)
        return given[:start] + random.choice(self._words) + given[start + int(random.random() * 10) :]

    def _flip(self, given: bytes, random: Random) -> bytes:
        start = _place(given, random)
        return given[:start] + bytes((int(random.random() * 256),)) + given[start + 1 :]

    def _double(self, given: bytes, random: Random) -> bytes:
        start, length = _place(given, random), 1 + int(random.random() * 40)
        piece = given[start : start + length]
        times = 2 if random.random() < 0.98 else 200
        return given[:start] + piece * times + given[start + length :]

    def _splice(self, given: bytes, random: Random) -> bytes:
        other = random.choice(self._seeds)
        return given[: _place(given, random)] + other[_place(other, random) :]


class JsonMutator:
    """Puts other values and names into good JSON, so that it stays JSON."""

    def __init__(self, seeds: Sequence[bytes], names: Sequence[bytes], values: Sequence[bytes]) -> None:
        self._seeds = [JSON_TOKEN.findall(seed) for seed in seeds]
        self._places = [_places(tokens) for tokens in self._seeds]
        self._names = names
        self._values = values

    def __call__(self, random: Random) -> bytes:
        chosen = int(random.random() * len(self._seeds))
        tokens = self._seeds[chosen].copy()
        names, values = self._places[chosen]
        for _ in range(int(random.random() * 3)):
            if random.random() < 0.2:
                tokens[random.choice(names)] = random.choice(self._names)
            else:
                tokens[random.choice(values)] = random.choice(self._values)
        for _ in range(int(random.random() * 4)):
            at = tokens.index(b"{") + 1
            tokens[at:at] = (random.choice(self._names), b":", random.choice(self._values), b",")
        return b"".join(tokens)


def _places(tokens: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Return where names stand, and where values that are no object or array."""
    words = [at for at, token in enumerate(tokens) if token not in _PUNCTUATION and not token.isspace()]
    names = [at for at in words if b"".join(tokens[at + 1 : at + 3]).lstrip().startswith(b":")]
    return names, [at for at in words if at not in names]


def _place(given: bytes, random: Random) -> int:
    return int(random.random() * (len(given) + 1))
