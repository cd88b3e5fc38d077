"""Runs one seeded run: senders under load, faults one after another, then the drain, then the records."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from tests.faults.brokers import version_of
from tests.faults.faults import BY_NAME, FAULTS, Fault
from tests.faults.records import Case, FaultBand, History, Sample
from tests.faults.rig import NotReachedError, Rig
from tests.faults.subject import SubjectFailedError

from rabbitmq import BrokerFailedError, Node

LEAST_UP_S: Final = 10.0
"""How long the bridge stays up between two faults that take it: it is down at most 10 s in any 15."""

MOST_DOWN_S: Final = 5.0
"""How long one of them may hold it down, its start not counted."""

FAILURES: Final = (OSError, NotReachedError, SubjectFailedError, BrokerFailedError)
"""What a system that does not do as it must makes of a run: a report that says so."""

LEAST_HOLD_S: Final = 2.0
SECONDS_SHARE: Final = 0.6
"""How many of the faults that last so long get a second one."""

MOST_TOLD: Final = 10
_DRAIN_S: Final = 400.0
"""A crowd of 150,000 may still be waiting, and the machine may do other things as well."""

_SAMPLE_EVERY_S: Final = 0.5
_ASK_FOR_TASKS_EVERY: Final = 20
"""Samples: whoever asks that has a connection of its own."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        kinds: names of faults; empty: all that fit.
        duration_s: how long new faults begin; the senders stop with the last of them.
        rate: events a second, all senders together.
        every_s: a fault begins as often as that, and none kills the bridge that is not one for it; 0: soon
            after the one before it.
    """

    seed: int = 1
    duration_s: float = 600.0
    senders: int = 64
    rate: float = 200.0
    kinds: tuple[str, ...] = ()
    disk: bool = True
    every_s: float = 0.0

    def faults(self) -> list[Fault]:
        """Return the faults of this run."""
        chosen = [BY_NAME[name] for name in self.kinds] if self.kinds else list(FAULTS)
        return [fault for fault in chosen if self.disk or not fault.needs_disk]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        observations: what was seen besides the records and must not be.
        began: when the senders began, by the monotonic clock; `ended` when all was drained.
    """

    plan: Plan
    broker: str
    history: History
    observations: list[str]
    began: float
    ended: float


def conduct(plan: Plan, node: Node, directory: Path, say: Callable[[str], None]) -> Run:
    """Run the plan against a broker that is running."""
    broker = version_of(node)
    with Rig(directory, node, disk=plan.disk) as rig:
        began = time.monotonic()
        sampler = Sampler(rig)
        try:
            rig.send(rig.orders(seed=plan.seed, senders=plan.senders, rate=plan.rate))
            Conductor(plan, rig, say).run()
            say("sending what has begun to its end")
            cases = bring_to_rest(rig)
        finally:
            sampler.stop()
        ended = time.monotonic()
        history = rig.history(cases, sampler.samples)
        return Run(
            plan=plan,
            broker=broker,
            history=history,
            observations=rig.observations,
            began=began,
            ended=ended,
        )


def bring_to_rest(rig: Rig) -> list[Case]:
    """Wait until all is sent and empty, then stop; what never is, is observed and judged as it stands."""
    cases: list[Case] = []
    try:
        rig.finish_sending()
        if not rig.subject.running:
            rig.start_bridge()
        rig.drain(timeout_s=_DRAIN_S)
        rig.observations += rig.proxy.doubles[:MOST_TOLD]
        cases = rig.cases()
        rig.stop()
    except FAILURES as failure:
        rig.observations.append(f"{failure!r}; the end of the bridge's log:\n{rig.subject.tail()}")
    return cases


class Conductor:
    """Puts one fault after another, in an order that the seed decides."""

    def __init__(self, plan: Plan, rig: Rig, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._rig = rig
        self._say = say
        self._rng = random.Random(f"{plan.seed}/faults")
        self._ends_at = time.monotonic() + plan.duration_s
        self._bridge_up_since = time.monotonic() - LEAST_UP_S / 2
        self._next_at = time.monotonic()

    def run(self) -> None:
        """Inject and heal until the time is up; every kind has its turn before one comes again."""
        for fault in self._order():
            self._rest()
            if not self._room_for(fault):
                return
            if fault.takes_bridge:
                self._pause(self._bridge_up_since + LEAST_UP_S - time.monotonic())
            try:
                self._see_to_bridge()
                self._one(fault)
            except FAILURES as failure:
                self._rig.observations.append(f"{fault.name} could not be carried out: {failure!r}")
                return

    def _rest(self) -> None:
        """Let nothing happen, until it is time for the next fault."""
        pause_s = self._rng.uniform(0.3, 1.5)
        if self._plan.every_s:
            pause_s = max(pause_s, self._next_at - time.monotonic())
            self._next_at = time.monotonic() + pause_s + self._plan.every_s
        self._pause(pause_s)

    def _order(self) -> Iterator[Fault]:
        faults = self._plan.faults()
        while True:
            yield from self._rng.sample(faults, len(faults))

    def _room_for(self, fault: Fault) -> bool:
        return time.monotonic() + fault.hold_s[0] < self._ends_at and self._rig.sending()

    def _see_to_bridge(self) -> None:
        """A bridge that nobody has ended must be there."""
        rig = self._rig
        if not rig.subject.running:
            tail = rig.subject.tail()
            rig.observations.append(f"the bridge ended by itself, exit code {rig.subject.wait()}:\n{tail}")
            rig.start_bridge()

    def _one(self, fault: Fault) -> None:
        rig, rng = self._rig, self._rng
        hold_s = self._hold(fault)
        self._say(f"{time.monotonic():.1f} {fault.name} for {hold_s:.1f} s")
        began = time.monotonic()
        fault.inject(rig, rng)
        if fault.takes_bridge:  # what its stop took is a part of the time for which it is down
            hold_s = min(hold_s, began + MOST_DOWN_S - time.monotonic())
        self._pause(hold_s / 2)
        second = self._second(fault, hold_s)
        self._pause(hold_s / 2)
        fault.heal(rig, rng)
        if fault.takes_bridge:
            self._bridge_up_since = time.monotonic()
        rig.note_band(
            FaultBand(
                name=fault.name,
                began=began,
                ended=time.monotonic(),
                detail=second,
                may_give_up=fault.may_give_up or (not rig.disk and (fault.takes_broker or fault.takes_some)),
                topology=fault.topology,
                answers_take_s=fault.answers_take_s,
                spares_others=fault.spares_others,
            )
        )

    def _second(self, fault: Fault, hold_s: float) -> str:
        """While the broker takes nothing, or not everything, let sometimes something else happen as well."""
        chance = self._rng.random()
        if hold_s < LEAST_HOLD_S or not (fault.takes_broker or fault.takes_some) or chance > SECONDS_SHARE:
            return ""
        began = time.monotonic()
        spared = self._plan.every_s or began - self._bridge_up_since < LEAST_UP_S
        if chance < SECONDS_SHARE / 2 or spared:
            name = "reset"
            self._rig.proxy.reset()
        else:
            name = "bridge-kill"
            self._rig.kill_bridge()
            self._rig.start_bridge()
            self._bridge_up_since = time.monotonic()
        self._rig.note_band(FaultBand(name=name, began=began, ended=time.monotonic()))
        return f"with {name}"

    def _hold(self, fault: Fault) -> float:
        """Choose how long it lasts: no more than a quarter of the run, and not much beyond its end."""
        least, most = fault.hold_s
        most = min(most, MOST_DOWN_S) if fault.takes_bridge else most
        left_s = self._ends_at - time.monotonic()
        return max(least, min(self._rng.uniform(least, most), self._plan.duration_s / 4, left_s))

    def _pause(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class Sampler:
    """Looks at the bridge from outside, twice a second."""

    def __init__(self, rig: Rig) -> None:
        self.samples: list[Sample] = []
        self._rig = rig
        self._count = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_SAMPLE_EVERY_S):
            self.samples.append(self._look())

    def _look(self) -> Sample:
        at = time.monotonic()
        try:
            metrics = self._rig.subject.metrics()
            rss_bytes = self._rig.subject.rss_bytes()
            descriptors = self._rig.subject.open_descriptors()
            self._count += 1
            tasks = None if self._count % _ASK_FOR_TASKS_EVERY else self._rig.subject.tasks()
        except (OSError, ValueError, IndexError, SubjectFailedError):
            return Sample(at=at)
        depth = metrics.get("tms_bridge_outbox_events", 0)
        return Sample(
            at=at,
            depth=int(depth),
            outstanding=int(metrics["tms_bridge_publishes_outstanding"]),
            rss_bytes=rss_bytes,
            descriptors=descriptors,
            tasks=tasks,
            connections=int(metrics['tms_bridge_connections{listener="http"}']),
        )
