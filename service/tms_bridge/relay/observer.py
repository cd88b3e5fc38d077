"""Whom the relay tells what happens to messages, so that metrics are counted in one place."""

from typing import Protocol


class Observer(Protocol):
    """What the relay has to tell; called on the event loop, so it must be quick."""

    def confirmed(self, seconds: float) -> None:
        """A publish was confirmed, this long after it was handed to the publisher."""
        ...

    def returned(self, routing_key: str) -> None:
        """No queue wanted an event; it goes to the unroutable exchange now."""
        ...

    def nacked(self) -> None:
        """A queue refused a publish; it is tried again later."""
        ...

    def refused(self) -> None:
        """A message was parked, since no retry can deliver it."""
        ...

    def faulted(self) -> None:
        """The relay met an error that nobody foresaw, and starts over with a new connection."""
        ...


class Silent:
    """An observer for those who do not count."""

    def confirmed(self, seconds: float) -> None:
        """Count nothing."""

    def returned(self, routing_key: str) -> None:
        """Count nothing."""

    def nacked(self) -> None:
        """Count nothing."""

    def refused(self) -> None:
        """Count nothing."""

    def faulted(self) -> None:
        """Count nothing."""
