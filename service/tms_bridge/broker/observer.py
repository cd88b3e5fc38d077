"""Whom the supervisor tells what is worth counting; what is a state is asked of the supervisor itself."""

from typing import Protocol


class Observer(Protocol):
    """What a supervisor has to tell; called on the event loop, so it must be quick."""

    def reconnected(self) -> None:
        """A publisher is open again after one was lost."""
        ...

    def fell_back(self) -> None:
        """The pipelined publisher did not pass its self-check; the plain one is used."""
        ...


class Silent:
    """An observer for those who do not count."""

    def reconnected(self) -> None:
        """Count nothing."""

    def fell_back(self) -> None:
        """Count nothing."""
