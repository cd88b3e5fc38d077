"""What the relay asks of a connection to the broker."""

from typing import Protocol

from tms_bridge.message import Message, Outcome


class Publisher(Protocol):
    """One confirm channel on one connection, from open to closed; a new connection is a new publisher."""

    @property
    def room(self) -> int:
        """How many more publishes it takes now; 0 while the broker blocks the connection."""
        ...

    def publish(self, key: int, message: Message, exchange: str) -> None:
        """Send one message, persistent and mandatory; its outcome comes from `outcomes` under `key`.

        Never raises for the message's sake: what cannot be encoded is REFUSED.
        """
        ...

    async def outcomes(self) -> list[tuple[int, Outcome]]:
        """Wait for what became of earlier publishes; may be empty when only `room` has changed.

        Raises:
            PublisherClosed: the connection is gone and aborted; keys without an outcome have an unknown fate.
        """
        ...

    async def close(self) -> None:
        """Close politely if it is open, abort if that takes too long; after it no byte is in flight."""
        ...


class Broker(Protocol):
    """Where publishers come from."""

    async def connect(self) -> Publisher:
        """Try the hosts in turn, with jittered back-off, until a publisher is open and topology was tried."""
        ...
