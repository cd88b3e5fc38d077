"""One check in words, and what it found."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar


class Verdict(NamedTuple):
    """The sentence that should be true, and the complaints that make it false."""

    sentence: str
    complaints: tuple[str, ...]


Subject = TypeVar("Subject")
Check = tuple[str, Callable[[Subject], Iterable[str]]]
"""A sentence, and a function that yields what speaks against it."""


def judge(name: str, subject: Subject, checks: Iterable[Check[Subject]]) -> Iterator[Verdict]:
    """Hold one subject to each of the checks; every sentence begins with the subject's name."""
    for sentence, find in checks:
        yield Verdict(f"{name}: {sentence}", tuple(find(subject)))
