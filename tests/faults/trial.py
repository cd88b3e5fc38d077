"""One fault under a light load, from the first event to the verdict: what a fault's own test is made of."""

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import msgspec
from tests.faults.checker import Verdict, check
from tests.faults.faults import BY_NAME
from tests.faults.records import Attempt, FaultBand, GivenUp, read
from tests.faults.rig import Rig, until

SENDERS: Final = 12
RATE: Final = 120.0
_SEED: Final = 3


class Trial:
    """Senders, bridge, broker and consumers at work; use it as a context manager.

    Attributes:
        rig: all of them.
        rng: what the faults of the conductor draw from.
    """

    def __init__(self, rig: Rig, *, aborts: float = 0.02, most_aborts: int = 1) -> None:
        self.rig = rig
        self._aborts = {"aborts": aborts, "most_aborts": most_aborts}
        self.rng = random.Random(_SEED)

    def __enter__(self) -> Self:
        """Begin; the rig has been started."""
        orders = self.rig.orders(seed=_SEED, senders=SENDERS, rate=RATE)
        # TMS sends a body that it is told to be wrong for fifteen seconds more: each trial would wait for it.
        self.rig.send(msgspec.structs.replace(orders, **self._aborts, undecodable=0.0))
        self.progress(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.rig.close()

    @property
    def accepted(self) -> int:
        """How many calls were answered 2xx so far."""
        return _lines(self.rig.directory / "attempts.jsonl", b'"code":202')

    @property
    def delivered(self) -> int:
        """How many messages the consumers have got so far, from all queues."""
        return _lines(self.rig.directory / "deliveries.jsonl", b"\n")

    def metric(self, name: str) -> float:
        """Return a metric of the bridge, all its labels together."""
        metrics = self.rig.subject.metrics()
        return sum(value for each, value in metrics.items() if each.partition("{")[0] == f"tms_bridge_{name}")

    def progress(self, events: int) -> None:
        """Wait until the sender has been told 2xx for so many more events."""
        goal = self.accepted + events
        until(lambda: self.accepted >= goal, f"{events} more events to be accepted")

    def deliver(self, messages: int) -> None:
        """Wait until so many more messages have reached the consumers."""
        goal = self.delivered + messages
        until(lambda: self.delivered >= goal, f"{messages} more messages to arrive")

    def recover(self) -> None:
        """Wait until all events of which a call failed are taken: another kill may be one too many."""
        failed = {_event(call) for call in self.attempts() if not call.accepted}
        until(
            lambda: failed <= {_event(call) for call in self.attempts() if call.accepted},
            "events to be taken after all",
        )

    @contextlib.contextmanager
    def under(self, name: str) -> Iterator[None]:
        """Inject a fault as the conductor would, and heal it at the end."""
        fault, began = BY_NAME[name], time.monotonic()
        fault.inject(self.rig, self.rng)
        yield
        fault.heal(self.rig, self.rng)
        self.rig.note_band(
            FaultBand(
                name=name,
                began=began,
                ended=time.monotonic(),
                topology=fault.topology,
                spares_others=fault.spares_others,
            )
        )

    def hold_up(self, publishes: int, *, delay_s: float = 0.5) -> None:
        """Slow the network down until so many publishes are on their way; `rig.proxy.heal` ends it."""
        self.rig.proxy.delay(delay_s)
        until(lambda: self.rig.proxy.outstanding >= publishes, "publishes to be on their way")

    def verdict(self) -> Verdict:
        """Send what has begun to its end, drain, stop, and judge."""
        rig = self.rig
        rig.finish_sending()
        rig.drain()
        cases = rig.cases()
        rig.stop()
        return check(rig.history(cases, []))

    def attempts(self) -> list[Attempt]:
        """Return every call of the sender so far."""
        return read(self.rig.directory / "attempts.jsonl", Attempt)

    def given_up(self) -> list[GivenUp]:
        """Return what the sender has given up so far."""
        return read(self.rig.directory / "given_up.jsonl", GivenUp)


def _event(call: Attempt) -> tuple[str, int, int]:
    return call.trigger, call.entity, call.ordinal


def _lines(path: Path, mark: bytes) -> int:
    return path.read_bytes().count(mark) if path.exists() else 0
