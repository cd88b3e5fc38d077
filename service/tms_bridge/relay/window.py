"""Which pending message may be published now: the relay's part of the outbox, in memory and bounded.

Theory of operation
-------------------
The outbox is a long list of messages by `seq`; the window holds a small part of it. How far it has looked is
in `cursors`. Each message of the window is a parcel. Parcels of one entity form a line, and only the head
of a line may be published, so that at most one publish per entity is unsettled and none overtakes another
(invariants 3 and 8). Nor are two of one id in flight together, for a return is told by its id: an event
that an operator made of a quarantined body has the id of the body's copy, which may wait here too.

A nack says that something beyond this message is full: it blocks the parcel's lane (its routing key; its
exchange, where that is what failed). The nacked parcel stays as the lane's probe. Everything else of a
blocked lane is dropped from the window when its turn comes, together with its line, which is skipped from
then on. When a probe gets through, the lane opens, and what was dropped is read again by a second cursor,
for the outbox still has all of it (see `cursors`). Whatever is in the window by then is recognised by its
seq. So a blocked lane costs one parcel and a few bits an entity.

A channel that the broker closes over a message makes everything in flight a suspect. Suspects are
published alone, one at a time: who is alone when it happens again is the culprit, and is parked. A missing
exchange (404) and a missing permission (403) are nobody's fault: they block a lane like a nack, with the
difference that the probe, which may close the channel again, is sent alone as well.

State of a parcel, and what moves it on:

| state     | where            | event                          | becomes                                  |
| --------- | ---------------- | ------------------------------ | ---------------------------------------- |
| waiting   | behind its head  | the head is settled or refused | ready                                    |
|           |                  | the head is skipped or held    | skipped                                  |
| ready     | `_ready`         | room, lane open                | in flight                                |
|           |                  | room, lane blocked             | skipped                                  |
| alone     | `_alone`         | nothing in flight, lane open   | in flight (and nothing else is)          |
|           |                  | nothing in flight, blocked     | skipped, unless it is the probe          |
| in flight | `_flying`        | CONFIRMED                      | settled; a probe opens its lane          |
|           |                  | RETURNED, an event             | ready again, for the unroutable exchange |
|           |                  | RETURNED, anything else        | as NACKED                                |
|           |                  | NACKED, lane open              | held; its lane is blocked                |
|           |                  | NACKED, lane blocked           | skipped; the probe itself: held, longer  |
|           |                  | REFUSED                        | refused; a probe opens its lane          |
|           |                  | connection lost                | ready; a probe: held, due at once        |
|           |                  | closed by a message, alone     | refused (403, 404: held)                 |
|           |                  | closed by a message, several   | alone (404, all to one exchange: ready,  |
|           |                  |                                | the first held)                          |
| held      | `Lane.probe`     | due                            | ready, or alone where the lane says so   |
| aside     | `_aside`         | an operator has dropped it     | settled; a probe opens its lane          |
|           |                  | the drop fails                 | alone; a probe: held, due at once        |
| skipped   | the outbox alone | any lane opens                 | read again                               |
| settled   | nowhere          |                                |                                          |
| refused   | nowhere          |                                | (the outbox parks it)                    |
"""

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

from tms_bridge.calls import Calls
from tms_bridge.errors import PublisherClosed
from tms_bridge.message import QUARANTINE_EXCHANGE, Kind, Message, Outcome
from tms_bridge.metrics import PublishMetrics
from tms_bridge.outbox.contract import OutboxEntry, Pending
from tms_bridge.relay.cursors import Cursors
from tms_bridge.relay.lanes import Lane, Parcel, exchange_lane, lane_of

MAX_PARCELS: Final = 1024
"""How many messages the window holds."""

MAX_BYTES: Final = 16 * 1024 * 1024
"""How many bytes of bodies it holds, give or take one page."""

# Python 3.11 takes 0.2 µs to look a member of an enumeration up, which is a lot for what every event does.
_EVENT: Final = Kind.EVENT
_CONFIRMED: Final = Outcome.CONFIRMED

_NOBODYS_FAULT: Final = (403, 404)


class Window:
    """The parcels that are ready, in flight or waiting; knows nothing of I/O or time."""

    def __init__(
        self,
        pending: Pending,
        metrics: PublishMetrics,
        calls: Calls,
        exchange: str,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._pending = pending
        self._metrics = metrics
        self._calls = calls
        self._exchange = exchange
        self._jitter = jitter
        self._parcels: dict[int, Parcel] = {}
        self._tails: dict[str, Parcel] = {}
        self._ready: deque[Parcel] = deque()
        self._alone: deque[Parcel] = deque()
        self._flying: dict[int, Parcel] = {}
        self._loner: Parcel | None = None
        self._lanes: dict[str, Lane] = {}
        self._blocked: dict[str, Lane] = {}
        self._bytes = 0
        self._settled_ahead: set[int] = set()
        self._withheld: set[int] = set()
        self._aside: dict[int, Parcel] = {}
        self._gone: set[int] = set()
        self._flying_ids: set[str] = set()
        self._twins: list[Parcel] = []
        self.cursors = Cursors()

    @property
    def appetite(self) -> int:
        """How many more messages it takes; 0 while it is full."""
        if self._bytes >= MAX_BYTES:
            return 0
        return max(0, MAX_PARCELS - len(self._parcels))

    @property
    def outstanding(self) -> int:
        """How many publishes await their outcome."""
        return len(self._flying)

    @property
    def blocked(self) -> dict[str, int]:
        """The lanes that wait for a probe to get through, and how much was skipped behind each."""
        return {name: self.cursors.waiting[name] for name in self._blocked}

    @property
    def active(self) -> bool:
        """Whether anything is in flight, or waits for nothing but room."""
        return bool(self._flying or self._ready or self._alone)

    @property
    def empty(self) -> bool:
        """Whether everything that was looked at is settled or refused."""
        return not self._parcels and self.cursors.all_read

    @property
    def next_due(self) -> float:
        """When the next probe is due; infinity when none is."""
        return min((lane.due for lane in self._blocked.values()), default=float("inf"))

    @property
    def unproven_since(self) -> float:
        """Since when a lane is nacked of which nothing got through on this connection; infinity: none is."""
        unproven = (lane for lane in self._blocked.values() if not (lane.alone or lane.proven))
        return min((lane.blocked_at for lane in unproven), default=float("inf"))

    def load(self, entries: Sequence[OutboxEntry], *, again: bool = False) -> None:
        """Take in what the outbox has after the front cursor, or, again, what it has after the back.

        No more than one page may be on its way; none that was on its way when `rewinds` rose.
        """
        cursors = self.cursors
        for entry in entries:
            seq = entry.seq
            cursors.look(seq, again=again)
            if seq in self._parcels or seq in self._settled_ahead:
                continue
            line = entry.message.order_key
            if (self._blocked or cursors.back is not None) and cursors.passes_over(seq, line):
                cursors.note(seq, lane_of(entry.message, QUARANTINE_EXCHANGE))
                continue
            self._append(entry, line)
        if again and not entries:
            cursors.meet()
        self._settled_ahead.clear()

    def _append(self, entry: OutboxEntry, line: str) -> None:
        message = entry.message
        exchange = self._exchange if message.kind is _EVENT else QUARANTINE_EXCHANGE
        parcel = self._parcels[entry.seq] = Parcel(entry.seq, message, line, exchange)
        self._bytes += len(message.body)
        tail = self._tails.get(line)
        self._tails[line] = parcel
        if tail is None:
            self._ready.append(parcel)
        else:
            tail.follower = parcel

    def withhold(self, seq: int) -> bool:
        """Set this message and its line aside while an operator drops it; false: it is in flight."""
        if seq not in self._flying:
            self._withheld.add(seq)
        return seq in self._withheld

    def decide(self, seq: int, now: float, *, gone: bool) -> None:
        """The drop is done, and its line goes on without it; or it failed, and all is as it was."""
        self._withheld.discard(seq)
        parcel = self._aside.pop(seq, None)
        if gone:
            if parcel is not None:
                self._finish(parcel, now)
            else:  # a page on its way may still show it
                (self._gone if seq in self._parcels else self._settled_ahead).add(seq)
        elif parcel is not None and parcel.probing is not None:
            parcel.probing.due = now
        elif parcel is not None:
            self._alone.append(parcel)  # it may have been a suspect

    def take(self, now: float) -> Parcel | None:
        """Return the next parcel to publish, in flight from now on; None: nothing may go."""
        if self._loner is not None:
            return None
        if self._alone:
            return self._take_alone(now)
        while self._ready:
            parcel = self._ready.popleft()
            if self._set_aside(parcel, now):
                continue
            if parcel.message.id in self._flying_ids:
                self._twins.append(parcel)
                continue
            if not self._blocked or self._may_go(parcel):
                return self._fly(parcel, now)
            self._skip(parcel)
        return None

    def _take_alone(self, now: float) -> Parcel | None:
        while self._alone and not self._flying:
            parcel = self._alone.popleft()
            if self._set_aside(parcel, now):
                continue
            if self._may_go(parcel):
                self._loner = parcel
                return self._fly(parcel, now)
            self._skip(parcel)
        return None

    def _set_aside(self, parcel: Parcel, now: float) -> bool:
        """Say whether an operator has, or may soon have, dropped it."""
        if parcel.seq in self._withheld:
            self._aside[parcel.seq] = parcel
        elif parcel.seq in self._gone:
            self._finish(parcel, now)
        return parcel.seq in self._aside or parcel.seq not in self._parcels

    def _fly(self, parcel: Parcel, now: float) -> Parcel:
        parcel.sent_at = now
        self._flying[parcel.seq] = parcel
        self._flying_ids.add(parcel.message.id)
        return parcel

    def _may_go(self, parcel: Parcel) -> bool:
        free = parcel.lane not in self._blocked and exchange_lane(parcel.exchange) not in self._blocked
        return free or parcel.probing is not None

    def note(self, seq: int, outcome: Outcome, now: float) -> Parcel | None:
        """Take in what became of one publish; return the parcel if the broker has it now."""
        parcel = self._land(seq)
        if outcome is _CONFIRMED:
            self._metrics.confirm_duration.observe(now - parcel.sent_at)
            self._pending.settle(seq)
            self._finish(parcel, now)
            return parcel
        if outcome is Outcome.REFUSED:
            self._refuse(parcel, "the AMQP client cannot encode it; see the log line of its id", now)
        elif outcome is Outcome.RETURNED and parcel.can_be_rerouted:
            self._reroute(parcel, now)
        else:
            self._metrics.nacked.inc()
            self._calls.told(parcel.message.id, "blocked")
            self._hold(parcel, parcel.lane, now, alone=False)
        return None

    def park(self, seq: int, reason: str, now: float) -> None:
        """Give up a message that the publisher cannot take, since the code that sends it has a defect."""
        self._refuse(self._land(seq), reason, now)

    def unroutable(self, seq: int) -> Message | None:
        """Return the message in flight if its return means that no queue wants the event."""
        parcel = self._flying[seq]
        return parcel.message if parcel.can_be_rerouted else None

    def _land(self, seq: int) -> Parcel:
        parcel = self._flying.pop(seq)
        if parcel is self._loner:
            self._loner = None
        self._flying_ids.discard(parcel.message.id)
        self._let_twins_go()
        return parcel

    def _let_twins_go(self) -> None:
        """Look again at the parcels whose id was in flight."""
        if self._twins:
            self._ready.extendleft(reversed(self._twins))
            self._twins.clear()

    def _finish(self, parcel: Parcel, now: float) -> None:
        self._forget(parcel)
        if self.cursors.back is not None:
            self._settled_ahead.add(parcel.seq)  # a page on its way may still show it
        if parcel.follower is None:
            del self._tails[parcel.line]
        else:
            self._ready.append(parcel.follower)
        if parcel.probing is not None:
            self._reopen(parcel.probing, now)

    def _refuse(self, parcel: Parcel, reason: str, now: float) -> None:
        self._pending.refuse(parcel.seq, reason)
        self._calls.told(parcel.message.id, "refused", reason)
        self._finish(parcel, now)

    def _reroute(self, parcel: Parcel, now: float) -> None:
        self._metrics.returned.inc(parcel.message.routing_key)
        if parcel.probing is not None:
            self._reopen(parcel.probing, now)
        parcel.reroute()
        self._ready.appendleft(parcel)

    def lost(self, closed: PublisherClosed, now: float) -> None:
        """Take in that the connection is gone, and with it all knowledge of what was in flight."""
        flown = sorted(self._flying.values(), key=attrgetter("seq"))
        self._flying.clear()
        self._flying_ids.clear()
        self._let_twins_go()
        self._loner = None
        for lane in self._lanes.values():
            lane.disconnect(now)
        if not closed.by_message or not flown:
            self._retry(flown, now)
        elif closed.code == _NOBODYS_FAULT[1] and len({parcel.exchange for parcel in flown}) == 1:
            self._hold(flown[0], exchange_lane(flown[0].exchange), now, alone=True)
            self._retry(flown[1:], now)
        elif len(flown) > 1:
            self._alone.extendleft(reversed(flown))
        elif closed.code in _NOBODYS_FAULT:
            self._hold(flown[0], flown[0].lane, now, alone=True)
        else:
            self._refuse(flown[0], str(closed), now)

    def _retry(self, flown: Iterable[Parcel], now: float) -> None:
        again = []
        for parcel in flown:
            if parcel.probing is None:
                again.append(parcel)
            else:
                parcel.probing.due = now
        self._ready.extendleft(reversed(again))

    def wake(self, now: float) -> None:
        """Make the probes that are due ready."""
        for lane in self._blocked.values():
            probe = lane.probe
            if lane.due > now or probe is None or probe.seq in self._aside:
                continue
            whole = self._blocked.get(exchange_lane(probe.exchange))
            if whole is not None and whole is not lane:
                lane.due = now + lane.delay_s  # its exchange is missing, and another probe asks for that
                continue
            lane.due = float("inf")
            (self._alone if lane.alone else self._ready).appendleft(probe)

    def _hold(self, parcel: Parcel, name: str, now: float, *, alone: bool) -> None:
        """Block a lane with this parcel as its probe, unless it has one."""
        lane = self._lanes.setdefault(name, Lane(self._jitter))
        if lane.probe not in (None, parcel):
            if parcel.probing is not None:
                self._reopen(parcel.probing, now)
            self._skip(parcel)
            return
        former = parcel.probing
        lane.block(parcel, now, alone=alone)
        self._blocked[name] = lane
        self._skip_followers(parcel)
        self.cursors.skip(parcel.line)
        if former is not None and former is not lane:
            self._reopen(former, now)
            parcel.probing = lane

    def _reopen(self, lane: Lane, now: float) -> None:
        """Open a lane, and let what was skipped for any be read again."""
        lane.reopen(now)
        self._blocked = {name: blocked for name, blocked in self._blocked.items() if blocked is not lane}
        self.cursors.reopen(held.probe.line for held in self._blocked.values() if held.probe)

    def _skip(self, parcel: Parcel) -> None:
        """Drop a parcel and its line from memory; the outbox has them."""
        self.cursors.note(parcel.seq, parcel.lane)
        self._skip_followers(parcel)
        self._forget(parcel)
        del self._tails[parcel.line]
        self.cursors.skip(parcel.line)

    def _skip_followers(self, head: Parcel) -> None:
        follower = head.follower
        head.follower = None
        self._tails[head.line] = head
        while follower is not None:
            self.cursors.note(follower.seq, follower.lane)
            self._forget(follower)
            follower = follower.follower

    def _forget(self, parcel: Parcel) -> None:
        del self._parcels[parcel.seq]
        self._gone.discard(parcel.seq)
        self._bytes -= len(parcel.message.body)
