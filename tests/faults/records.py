"""What sender, consumers, proxies and conductor write down, one JSON line each; all times are monotonic.

The monotonic clock is the same for all processes of one machine, and no fault that shifts the wall clock
touches it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Self, TypeVar

import msgspec

EventKind = Literal["event", "repeat", "undecodable"]
"""An ordinary event; the same body again as a second real event; a body that is no event."""

EVERYTHING = "witness"
"""The queue that gets every event."""

UNROUTABLE = "tms.unroutable"
QUARANTINE = "tms.quarantine"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call by the sender, and its answer.

    Attributes:
        sender: which of the senders called.
        ordinal: counts the events of one entity from 1.
        status: TMS's status, which the routing key must end in.
        number: 1 for the first call of an event, 2 for its first retry.
        answered_at: when the whole answer was there, or when it was given up.
        code: the HTTP status; None when no whole answer came.
        id: of the event, or of the quarantine's row.
        error: the problem's type, or why no answer came.
    """

    kind: EventKind
    source: str
    trigger: str
    entity: int
    ordinal: int
    status: str
    digest: str
    number: int
    sent_at: float
    answered_at: float
    code: int | None
    sender: int = 0
    id: str | None = None
    outcome: str | None = None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether it was answered 2xx."""
        return self.code is not None and 200 <= self.code < 300


class GivenUp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event for which the sender had no retry left."""

    kind: EventKind
    trigger: str
    entity: int
    ordinal: int
    digest: str
    first_sent_at: float
    at: float


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message as a consumer got it.

    Attributes:
        digest: the header `tms-digest`.
        content: the same digest, computed by the consumer from what the message carries of the body.
        redelivered: the broker says that it gave this very message to a consumer before.
        replayed: the header `tms-replayed`.
        received_at: the event's own, in seconds since 1970; 0 where it has none.
        position: counts the deliveries of one queue.
        connection: counts the connections of the queue's consumer.
    """

    queue: str
    message_id: str
    digest: str
    content: str
    routing_key: str
    redelivered: bool
    at: float
    position: int
    connection: int = 1
    replayed: bool = False
    received_at: float = 0.0


class FaultBand(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, from its injection to the end of its healing.

    Attributes:
        may_give_up: the sender may give events up because of it.
        topology: exchanges, queues or bindings were not as the consumers had made them.
        answers_take_s: no 2xx can have come sooner than this after its call.
        spares_others: none of the sender's calls may be refused because of it.
    """

    name: str
    began: float
    ended: float
    detail: str = ""
    may_give_up: bool = False
    topology: bool = False
    answers_take_s: float = 0.0
    spares_others: bool = False


class Disruption(msgspec.Struct, frozen=True, kw_only=True):
    """An instant from which on some messages may come once more.

    Attributes:
        cause: kill (of the bridge), loss (of a connection), close (of the channel), nack.
        ids: what had no outcome then; for a nack, what was refused; for a kill, what the broker had
            confirmed last, for the journal may not have deleted it yet.
        unread: what was confirmed so shortly before the connection ended that the bridge may not have read
            it; it counts as a lost outcome of these ids, and not in any sum.
    """

    cause: Literal["kill", "loss", "close", "nack"]
    at: float
    ids: list[str]
    unread: list[str] = []


class Confirm(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The broker has confirmed this id, and so has routed it before."""

    id: str
    at: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The bridge from outside, at one instant; None where it did not answer.

    Attributes:
        depth: events in the outbox.
        rss_bytes: resident memory.
        descriptors: how many it has open.
        tasks: asyncio tasks; asked for less often than the rest.
        connections: of the senders; each is one of the descriptors, and one of the tasks.
    """

    at: float
    depth: int | None = None
    outstanding: int | None = None
    rss_bytes: int | None = None
    descriptors: int | None = None
    tasks: int | None = None
    connections: int | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the bridge's quarantine at the end of the run."""

    id: str
    trigger: str
    digest: str
    seen: int


class Binding(msgspec.Struct, frozen=True):
    """A queue of the consumers, and the routing keys that it wants."""

    queue: str
    pattern: str

    def wants(self, key: str) -> bool:
        """Tell whether a topic exchange would route this key here; knows `#` at the end and `*`."""
        words, wanted = key.split("."), self.pattern.split(".")
        if wanted[-1] == "#":
            wanted = wanted[:-1]
            words = words[: len(wanted)] if len(words) >= len(wanted) else words
        return len(words) == len(wanted) and all(
            mine in ("*", theirs) for mine, theirs in zip(wanted, words, strict=True)
        )


class History(msgspec.Struct, kw_only=True):
    """All that was written down of one run.

    Attributes:
        outbox: whether the bridge had a disk; without one a 2xx waits for the broker.
        cases: the quarantine's rows; empty without a disk.
    """

    attempts: list[Attempt]
    deliveries: list[Delivery]
    given_up: list[GivenUp] = []
    bands: list[FaultBand] = []
    disruptions: list[Disruption] = []
    confirms: list[Confirm] = []
    samples: list[Sample] = []
    cases: list[Case] = []
    bindings: list[Binding] = []
    outbox: bool = True


Record = TypeVar("Record", bound=msgspec.Struct)


class Log:
    """A file of records; each is on its way to the file when `write` returns, so that a kill loses none."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("ab", buffering=0)

    def write(self, record: msgspec.Struct) -> None:
        """Append a record."""
        self._file.write(msgspec.json.encode(record) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path, kind: type[Record]) -> list[Record]:
    """Read a file of records; a last line that a kill cut short is left out."""
    return list(_decode(path.read_bytes().splitlines(keepends=True), kind)) if path.exists() else []


def _decode(lines: Iterable[bytes], kind: type[Record]) -> Iterator[Record]:
    decoder = msgspec.json.Decoder(kind)
    return (decoder.decode(line) for line in lines if line.endswith(b"\n"))
