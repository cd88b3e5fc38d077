"""What this package asks of a request's headers; aiohttp's multidicts answer it as they are."""

from typing import Protocol


class Headers(Protocol):
    """Header lines by name, whose case does not count."""

    def getall(self, key: str, default: list[str], /) -> list[str]:
        """Return the values of every line of this name, in order."""
        ...
