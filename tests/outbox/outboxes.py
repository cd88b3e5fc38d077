"""Messages and journals for the outbox's tests."""

import asyncio
import hashlib
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import msgspec

from tms_bridge.message import Kind, Message
from tms_bridge.outbox.contract import Intake, OutboxEntry, Receipt
from tms_bridge.outbox.database import Store
from tms_bridge.outbox.journal import Journal, Machine
from tms_bridge.outbox.memory import MemoryOutbox
from tms_bridge.settings import model as settings

ROOM = 1 << 40
"""More free bytes than any test needs, so that no test depends on this machine's disk."""


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Make the kernel refuse, with an error that is not "disk full", writes past this size."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


class Clock:
    """A monotonic clock that a test winds on."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def digest_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


def event(number: int, body: bytes = b"{}", digest: str | None = None) -> Message:
    """Return the event of this number; equal bodies are told by `digest`."""
    return Message(
        id=f"01936000-0000-7000-8000-{number:012d}",
        kind=Kind.EVENT,
        source="contoso",
        trigger="class",
        status="scheduled",
        routing_key="tms.class.scheduled",
        entity=str(number),
        received_at_us=1_700_000_000_000_000 + number,
        digest=digest or digest_of(str(number)),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        body=body,
    )


def undecodable(number: int, body: bytes = b"?", digest: str | None = None, received_s: int = 0) -> Message:
    """Return a body that is no event, received in the far future unless told otherwise."""
    return msgspec.structs.replace(
        event(number, body, digest),
        kind=Kind.QUARANTINE,
        status="",
        routing_key="",
        entity="",
        received_at_us=(received_s or 4_000_000_000) * 1_000_000,
        reason="not JSON",
    )


async def open_journal(
    directory: Path,
    *,
    max_bytes: int = ROOM,
    min_free_bytes: int = 0,
    clock: Clock | None = None,
    boot: str = "boot-1",
    quarantine: settings.Quarantine | None = None,
    window_s: float = 120.0,
    free_bytes: Callable[[Path], int] = lambda _: ROOM,
    on_commit: Callable[[float, int], None] | None = None,
) -> Journal:
    """Open a journal whose clock, boot and free space the test decides."""
    return await Journal.open(
        settings.Outbox(dir=str(directory), max_bytes=max_bytes, min_free_bytes=min_free_bytes),
        quarantine,
        settings.Dedup(window_s=window_s),
        machine=Machine(clock=clock or Clock(), free_bytes=free_bytes, boot_id=lambda: boot),
        on_commit=on_commit,
    )


class Carrying:
    """A relay that has some messages in flight, and remembers how drops ended."""

    def __init__(self, *seqs: int) -> None:
        self._in_flight = set(seqs)
        self.told: list[tuple[int, bool]] = []

    def withhold(self, seq: int) -> bool:
        return seq not in self._in_flight

    def dropped(self, seq: int, *, gone: bool) -> None:
        self.told.append((seq, gone))


@dataclass(frozen=True)
class Kept:
    """A body that is in quarantine."""

    id: str


class Told:
    """A waiter that remembers what it was told; once nobody waits any more, its caller has gone."""

    def __init__(self, outbox: Intake) -> None:
        self.outbox = outbox
        self.told: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

    def durable(self, receipt: Receipt) -> None:
        if self.told.cancelled():
            self.outbox.unanswered(receipt)
        else:
            self.told.set_result(receipt)

    def quarantined(self, row_id: str) -> None:
        self.told.set_exception(AssertionError(f"quarantined as {row_id}"))

    def failed(self, error: Exception) -> None:
        if not self.told.cancelled():
            self.told.set_exception(error)


class Case:
    """The same for an undecodable body."""

    def __init__(self) -> None:
        self.kept: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()

    def durable(self, receipt: Receipt) -> None:
        self.kept.set_exception(AssertionError(f"answered as {receipt}"))

    def quarantined(self, row_id: str) -> None:
        self.kept.set_result(Kept(row_id))

    def failed(self, error: Exception) -> None:
        self.kept.set_exception(error)


async def answer(outbox: Intake, message: Message) -> Receipt:
    """Take an event in, or its retry; return its receipt, which counts as answered."""
    told = Told(outbox)
    if not outbox.join(message.digest, told):
        outbox.take(message, told)
    return await told.told


async def accept(outbox: Intake, message: Message) -> Receipt:
    """As `answer`, but the answer does not get through."""
    receipt = await answer(outbox, message)
    outbox.unanswered(receipt)
    return receipt


async def answer_held(outbox: Intake, message: Message) -> Receipt:
    """As `answer`, for an event that is held."""
    told = Told(outbox)
    if not outbox.join(message.digest, told):
        outbox.hold(message, told)
    return await told.told


async def hold(outbox: Intake, message: Message) -> Receipt:
    """As `accept`, for an event that is held."""
    receipt = await answer_held(outbox, message)
    outbox.unanswered(receipt)
    return receipt


async def quarantine(outbox: Intake, message: Message) -> Kept:
    """Keep an undecodable body."""
    case = Case()
    outbox.quarantine(message, case)
    return await case.kept


async def answer_retry(outbox: Intake, digest: str) -> Receipt | None:
    """Let a retry come; return its receipt, which counts as answered, or None: the body is new."""
    told = Told(outbox)
    return await told.told if outbox.join(digest, told) else None


async def recall(outbox: Intake, digest: str) -> Receipt | None:
    """As `answer_retry`, but the answer does not get through."""
    receipt = await answer_retry(outbox, digest)
    if receipt is not None:
        outbox.unanswered(receipt)
    return receipt


def knows(outbox: Journal | MemoryOutbox, digest: str) -> bool:
    """Return whether this digest is a retry's."""
    return outbox._receipts.find(digest) is not None


async def killed(journal: Journal, directory: Path, copy: Path) -> Path:
    """Return a copy of the directory as a SIGKILL at this moment would leave it; close the journal."""
    await quiet(journal)
    shutil.copytree(directory, copy)
    await journal.close()
    return copy


async def quiet(journal: Journal) -> None:
    """Wait until all that was asked for is written."""
    await journal._group.drain()
    await journal.status()


class WouldWait(Exception):  # noqa: N818 - states the fact
    """A relay that asks would wait for the next event."""


async def waiting(outbox: Journal | MemoryOutbox, after: int = 0, limit: int = 1000) -> list[OutboxEntry]:
    """Return what a relay gets now; nothing if it would wait."""
    await asyncio.sleep(0)  # who has begun to hand something over does so now
    if isinstance(outbox, Journal):
        await quiet(outbox)
    with mock.patch.object(outbox._tail, "arrival", side_effect=WouldWait):
        try:
            return list(await outbox.page(after, limit))
        except WouldWait:
            return []


async def ids_waiting(outbox: Journal | MemoryOutbox) -> list[str]:
    return [entry.message.id for entry in await waiting(outbox)]


async def on_disk(journal: Journal, statement: str) -> list[tuple[object, ...]]:
    """Return what a statement of SQL says of the journal's file."""

    def read(store: Store) -> list[tuple[object, ...]]:
        return store._connection.execute(statement).fetchall()

    return await journal._writer.call(read)
