"""The one thread that touches the journal: jobs in, in order; results back on the event loop."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

from tms_bridge.errors import OutboxBroken
from tms_bridge.outbox.store import Snapshot, Store, is_fatal

T = TypeVar("T")

LOOK_EVERY_S = 1.0

_log = logging.getLogger(__name__)


class Writer:
    """A thread with a store, from `start` to `stop`."""

    def __init__(self, observe: Callable[[Snapshot], None], broke: Callable[[OutboxBroken], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._observe = observe
        self._broke = broke
        self._jobs: SimpleQueue[Callable[[Store], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._store: Store | None = None  # kept when broken: closing it would checkpoint, and sync again
        self._failure: OutboxBroken | None = None

    async def start(self, open_store: Callable[[], Store]) -> Snapshot:
        """Open the store in the thread; return how it stands.

        Raises:
            OutboxError: as `Store.open` does.
        """
        opened: asyncio.Future[Snapshot] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._run, args=(open_store, opened), name="outbox", daemon=True
        )
        self._thread.start()
        return await opened

    def submit(self, work: Callable[[Store], T], done: Callable[[T | None, Exception | None], None]) -> None:
        """Do this after all that was submitted before; `done` gets the result or the error, on the loop."""
        self._jobs.put(lambda store: self._attempt(store, work, done))

    async def call(self, work: Callable[[Store], T], landed: Callable[[T], None] | None = None) -> T:
        """Do a reader's or an operator's work; return its result.

        Args:
            work: what is done in the thread.
            landed: called with the result before whatever is submitted later lands, even if nobody waits.
        """
        answer: asyncio.Future[T] = self._loop.create_future()

        def done(result: T | None, error: Exception | None) -> None:
            if error is None and landed is not None:
                landed(cast("T", result))
            if answer.done():  # whoever asked has gone
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(cast("T", result))

        self.submit(lambda store: store.do(work), done)
        return await answer

    async def stop(self) -> None:
        """Do what is left, close the store, end the thread."""
        try:
            await self.call(Store.close)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End the thread and leave the store as it is."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self, open_store: Callable[[], Store], opened: asyncio.Future[Snapshot]) -> None:
        try:
            self._store = open_store()
        except Exception as error:  # noqa: BLE001 - who waits for it to open must hear of a defect too
            self._post(opened.set_exception, error)
            return
        self._post(opened.set_result, self._store.snapshot())
        self._serve(self._store)

    def _serve(self, store: Store) -> None:
        look_at = time.monotonic() + LOOK_EVERY_S
        while True:
            with contextlib.suppress(Empty):
                job = self._jobs.get(timeout=max(0.0, look_at - time.monotonic()))
                if job is None:
                    return
                job(store)
                self._upkeep(store.rest)
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_EVERY_S
                self._upkeep(store.look)
                self._post(self._observe, store.snapshot())

    def _attempt(
        self,
        store: Store,
        work: Callable[[Store], T],
        done: Callable[[T | None, Exception | None], None],
    ) -> None:
        """Do one job, unless the store is broken, and say what came of it."""
        result: T | None = None
        error: Exception | None = self._failure
        try:
            if error is None:
                result = work(store)
        except Exception as failure:  # noqa: BLE001 - the thread outlives all: it alone can tell those who wait
            # A full disk has been dealt with by now; what an argument or a defect did was rolled back.
            error = self._break(failure) if is_fatal(failure) else failure
        self._post(done, result, error)

    def _upkeep(self, work: Callable[[], None]) -> None:
        """Do what nobody waits for."""
        if self._failure is None:
            try:
                work()
            except Exception as failure:  # noqa: BLE001 - as in `_attempt`; a defect ends in the log
                if is_fatal(failure):
                    self._break(failure)
                else:
                    _log.exception("the outbox could not be looked after")

    def _break(self, failure: Exception) -> OutboxBroken:
        """From now on nothing is written: what a failed sync has left on the disk is not known."""
        broken = OutboxBroken(
            f"the outbox broke: {failure}. Nothing more is written to it; look at the disk, then start again"
        )
        broken.__cause__ = failure
        self._failure = broken
        self._post(self._broke, broken)
        return broken

    def _post(self, callback: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
            self._loop.call_soon_threadsafe(callback, *values)
