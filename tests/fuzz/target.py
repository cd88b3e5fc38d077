"""What is fuzzed: a target makes an input and judges what becomes of it.

An input is bytes, whatever it stands for, so that one that went wrong can be kept as a file, and so that
the coverage-guided fuzzer can make inputs of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FINDINGS = HERE / "findings"

Make = Callable[[Random], bytes]
Judge = Callable[[bytes], None]
"""Raises whatever should never be raised; an AssertionError says what does not agree."""


@dataclass(frozen=True)
class Target:
    """One surface that takes what strangers write."""

    name: str
    make: Make
    judge: Judge

    def kept(self) -> list[Path]:
        """Return the inputs that went wrong once, and those that the guided fuzzer found worth keeping."""
        folders = (FINDINGS / self.name, CORPUS / self.name)
        return sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir())
