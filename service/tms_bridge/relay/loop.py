"""Carries what is pending from the outbox to the broker, for as long as the service runs.

Two coroutines share one window: one loads pages of the outbox into it, one takes in outcomes. Whoever has
changed something publishes what may go now. No task, future or timer exists per message.
"""

import asyncio
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from tms_bridge.calls import Calls
from tms_bridge.errors import BridgeError, PublisherClosed
from tms_bridge.log import Logger
from tms_bridge.message import Outcome
from tms_bridge.metrics import PublishMetrics
from tms_bridge.outbox.contract import OutboxEntry, Pending
from tms_bridge.relay.clocks import PAUSE_S, Pace, Renewal
from tms_bridge.relay.cursors import Cursors
from tms_bridge.relay.lanes import Parcel
from tms_bridge.relay.notices import Notices
from tms_bridge.relay.publisher import Broker, Publisher
from tms_bridge.relay.window import Window
from tms_bridge.settings.model import Amqp

PAGE_LIMIT: Final = 64
"""How many messages are asked of the outbox at a time; a commit may have to wait for a page from the disk."""

EMPTY_AFTER_S: Final = 0.2
"""While draining, an outbox that has given nothing for this long is empty."""

_FAULT_PAUSE_S: Final = 1.0
_LOOK_AGAIN_S: Final = 0.002
"""How soon to look whether the outbox has deleted what left; its commits take about that long."""

_STUCK_AFTER_S: Final = 2.0

_MICROSECONDS: Final = 1_000_000
_NEVER: Final = float("inf")


class Relay:
    """The loop from outbox to broker; `run` it, then `drain` it, then cancel `run`."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it carries from and to, and whom it tells
        self,
        pending: Pending,
        broker: Broker,
        metrics: PublishMetrics,
        calls: Calls,
        log: Logger,
        settings: Amqp,
    ) -> None:
        self._pending = pending
        self._broker = broker
        self._metrics = metrics
        self._calls = calls
        self._log = log
        self._notices = Notices(log)
        self._max_outstanding = settings.max_outstanding
        self._exchange = settings.exchange
        self._window = Window(pending, metrics, calls, settings.exchange)
        self._renewal = Renewal()
        self._pace = Pace(pending.last_seq)
        self._published = 0
        self._pausing = False
        self._publisher: Publisher | None = None
        self._group: asyncio.TaskGroup
        self._feeder: asyncio.Task[None] | None = None
        self._hungry = asyncio.Event()
        self._went_back = False
        self._timer: asyncio.TimerHandle | None = None
        self._faulty = False
        self._held_up_since = _NEVER
        self._draining = False
        self._exhausted = False
        self._drained = asyncio.Event()

    @property
    def outstanding(self) -> int:
        """How many publishes await their outcome."""
        return self._window.outstanding

    @property
    def lanes_blocked(self) -> int:
        """How many routing keys wait because a queue refused, or all since the exchange is missing."""
        return len(self._window.blocked)

    def withhold(self, seq: int) -> bool:
        """Set this message aside while an operator drops it; false: it is in flight."""
        return self._window.withhold(seq)

    def dropped(self, seq: int, *, gone: bool) -> None:
        """What was set aside is gone; or, where the drop failed, goes on as if nothing had been."""
        self._window.decide(seq, _now(), gone=gone)
        self._after_turn()

    @property
    def connected(self) -> bool:
        """Whether a publisher is open."""
        return self._publisher is not None

    async def run(self) -> None:
        """Carry until cancelled; run again after a defect, it starts over.

        Raises:
            ExceptionGroup: of an OutboxError: the outbox broke, which is the end of this process.
        """
        try:
            async with asyncio.TaskGroup() as self._group:
                self._feeder = self._group.create_task(self._feed())
                await self._carry()
        finally:
            self._feeder = None
            self._stop_timer()
            await self._close_publisher()
            self._faulty = True
            self._hungry.clear()

    async def drain(self, timeout_s: float) -> bool:
        """Wait until the outbox is empty; false when time is up first, or the broker is away."""
        self._draining = True
        self._restart_feeder()
        self._after_turn()
        try:
            async with asyncio.timeout(timeout_s):
                await self._drained.wait()
        except TimeoutError:
            return False
        return self._exhausted and self._window.empty

    async def _carry(self) -> None:
        while True:
            publisher = await self._broker.connect()
            if self._faulty:
                self._start_over()
            self._publisher = publisher
            self._renewal.opened(_now())
            try:
                self._turn(_nothing)
                await self._take_outcomes(publisher)
            except PublisherClosed as closed:
                self._lose(closed)
            if self._faulty:
                await asyncio.sleep(_FAULT_PAUSE_S)

    async def _take_outcomes(self, publisher: Publisher) -> None:
        while True:
            outcomes = await publisher.outcomes()
            self._turn(lambda: self._note(outcomes))  # noqa: B023 - called before the next round binds it anew

    def _note(self, outcomes: list[tuple[int, Outcome]]) -> None:
        now, wall_s = _now(), time.time()
        for seq, outcome in outcomes:
            if outcome is Outcome.RETURNED and (lost := self._window.unroutable(seq)) is not None:
                self._notices.unroutable(lost, now)
                self._calls.told(lost.id, "unroutable")
            delivered = self._window.note(seq, outcome, now)
            if delivered is not None:
                message = delivered.message
                self._calls.delivered(message, wall_s - (now - delivered.sent_at), wall_s)
                self._metrics.delivery_duration.observe(wall_s - message.received_at_us / _MICROSECONDS)

    def _lose(self, closed: PublisherClosed) -> None:
        self._publisher = None
        self._log.warning(
            "publisher closed",
            reason=str(closed),
            code=closed.code,
            by_message=closed.by_message,
            outstanding=self._window.outstanding,
        )
        self._turn(lambda: self._window.lost(closed, _now()))

    def _turn(self, change: Callable[[], None]) -> None:
        """Change the window, then publish what may go."""
        if self._faulty:
            return
        rewinds = self._window.cursors.rewinds
        try:
            change()
            self._pump()
        except BridgeError:
            raise
        except Exception:  # noqa: BLE001 - outlives a bug, since the outbox still has all of it; counted, with a pause
            self._fault()
        if self._window.cursors.rewinds != rewinds:
            self._restart_feeder()
        self._after_turn()

    def _fault(self) -> None:
        """Nothing that the window says can be trusted any more: close the publisher, then start over."""
        self._faulty = True
        self._hungry.clear()  # a page that is not taken in would be asked for again, at once and for ever
        self._metrics.relay_faults.inc()
        self._log.error("relay fault, starting over with a new connection", exc_info=True)
        if self._publisher is not None:
            self._group.create_task(self._publisher.close())

    def _start_over(self) -> None:
        self._window = Window(self._pending, self._metrics, self._calls, self._exchange)
        self._faulty = False
        self._restart_feeder()

    def _pump(self) -> None:
        publisher = self._publisher
        if publisher is None:
            return
        now = _now()
        window = self._window
        self._pausing = not self._draining and self._renewal.wanted(now, window.unproven_since)
        if self._pausing:
            self._renew(publisher)
            return
        window.wake(now)
        room = min(publisher.room, self._max_outstanding - window.outstanding - self._count_leaving(now))
        before = room
        while room > 0 and (parcel := window.take(now)) is not None:
            try:
                publisher.publish(parcel.seq, parcel.message, parcel.exchange)
            except Exception as defect:  # noqa: BLE001 - no message may keep the others from their way
                self._park(parcel, defect, now)
            room -= 1
        self._published += before - room
        self._note_held_up(now)

    def _park(self, parcel: Parcel, defect: Exception, now: float) -> None:
        """Put a message aside that our own code cannot publish, with the defect's words for the operator."""
        last_line = traceback.format_exception_only(defect)[-1].strip()
        self._metrics.relay_faults.inc()
        self._log.error("a defect keeps a message from going out", id=parcel.message.id, exc_info=defect)
        self._window.park(parcel.seq, f"a defect of the bridge: {last_line}", now)

    def _renew(self, publisher: Publisher) -> None:
        """Exchange the connection once nothing is in flight; until then nothing more is published."""
        if self._window.outstanding:
            return
        self._log.warning("nothing gets through for a routing key, reconnecting", broker_may_be_full=True)
        self._renewal.longer()
        self._publisher = None
        self._group.create_task(publisher.close())

    def _count_leaving(self, now: float) -> int:
        """Count what a SIGKILL would publish again although the broker has it, like what is in flight.

        A disk that is too full to delete anything must not stop the events that wait, so it is not
        counted for ever.
        """
        return self._pending.leaving if now - self._held_up_since < _STUCK_AFTER_S else 0

    def _note_held_up(self, now: float) -> None:
        leaving = self._pending.leaving
        if not leaving or leaving + self._window.outstanding < self._max_outstanding:
            self._held_up_since = _NEVER
        else:
            self._held_up_since = min(self._held_up_since, now)

    def _after_turn(self) -> None:
        if self._window.appetite and not self._faulty:
            self._hungry.set()
        self._set_timer()
        self._notices.lanes(self._window.blocked, _now())
        if self._draining and (self._publisher is None or (self._exhausted and not self._window.active)):
            self._drained.set()

    def _set_timer(self) -> None:
        self._stop_timer()
        renewal_due = self._renewal.due(self._window.unproven_since)
        if self._pausing:
            due = renewal_due + PAUSE_S
        else:
            due = min(self._window.next_due, self._look_again(), renewal_due)
        if due < _NEVER and self._publisher is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._turn, _nothing)

    def _look_again(self) -> float:
        return _NEVER if self._held_up_since == _NEVER else _now() + _LOOK_AGAIN_S

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _feed(self) -> None:
        while True:
            await self._hungry.wait()
            cursors = self._window.cursors
            again = self._goes_back(cursors)
            if again or cursors.back is None:
                await self._give_way(cursors)
            limit = min(PAGE_LIMIT, self._window.appetite)
            if limit == 0:
                self._hungry.clear()
                continue
            self._went_back = again
            entries = await self._page(cursors, limit, again=again)
            # A disk that is slow to delete is slow to read, too.
            nothing = not entries and not self._pending.leaving and cursors.back is None
            self._exhausted = self._draining and nothing
            self._turn(lambda: self._window.load(entries, again=again))  # noqa: B023 - called before it is bound anew

    def _goes_back(self, cursors: Cursors) -> bool:
        """Say whose page is next: in a walk each cursor's in turn, as far as there is something new."""
        is_new = self._pending.last_seq > cursors.front
        return cursors.back is not None and not (self._went_back and is_new)

    async def _give_way(self, cursors: Cursors) -> None:
        """Let webhooks go first while a backlog is read."""
        newest = self._pending.last_seq
        cursor = cursors.front if cursors.back is None else cursors.back
        pause_s = self._pace.pause_s(_now(), newest=newest, cursor=cursor, published=self._published)
        if pause_s:
            await asyncio.sleep(pause_s)

    async def _page(self, cursors: Cursors, limit: int, *, again: bool) -> Sequence[OutboxEntry]:
        if cursors.back is not None:  # neither cursor may keep the other waiting
            after = cursors.back if again else cursors.front
            return await self._pending.page(after, limit, wait=False)
        if not self._draining:
            return await self._pending.page(cursors.front, limit)
        try:
            async with asyncio.timeout(EMPTY_AFTER_S):
                return await self._pending.page(cursors.front, limit)
        except TimeoutError:
            return ()

    def _restart_feeder(self) -> None:
        """Drop the page that is awaited: it starts where the cursor was."""
        self._exhausted = False
        if self._feeder is not None:
            self._feeder.cancel()
            self._feeder = self._group.create_task(self._feed())

    async def _close_publisher(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()


def _nothing() -> None:
    """Change nothing: the turn is for what time or room allows now."""


def _now() -> float:
    return asyncio.get_running_loop().time()
