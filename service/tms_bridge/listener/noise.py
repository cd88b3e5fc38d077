"""Randomness from the kernel, drawn in bulk: a system call for each id would cost more than the id."""

import os
from typing import Final

_DRAW: Final = 8192


class Noise:
    """Hands out random bytes; each byte once."""

    def __init__(self) -> None:
        self._drawn = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return so many random bytes, far fewer than a draw."""
        end = self._at + size
        if end > len(self._drawn):
            self._drawn, self._at, end = os.urandom(_DRAW), 0, size
        taken = self._drawn[self._at : end]
        self._at = end
        return taken
