"""Everything of one run side by side: broker, proxy, bridge, consumers, senders, and where they write."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from tests.faults import consumer, sender
from tests.faults.control import Control
from tests.faults.proxy import Proxy
from tests.faults.records import (
    EVERYTHING,
    QUARANTINE,
    UNROUTABLE,
    Attempt,
    Binding,
    Case,
    Confirm,
    Delivery,
    Disruption,
    FaultBand,
    GivenUp,
    History,
    Log,
    Sample,
    read,
)
from tests.faults.subject import AUTHORIZATION, ROOT, SOURCE, Subject
from tests.waiting import PATIENCE_S

from janitor import Janitor
from program import Lifetime
from rabbitmq import Node

MOST_DOWN_S: Final = 10.0
"""The longest that a run keeps the bridge down, its start counted, on a machine that is not too busy."""

FULL: Final = "limited"
"""The queue that refuses when it holds LIMIT events and nobody reads it."""

LIMIT: Final = 20

ASIDE: Final = "aside"
"""The prefix of what is not the sender's: the checker does not look at it."""

GREEDY: Final = "greedy"
_MAX_IN_FLIGHT: Final = 400
_OTHERS: Final = f"""\
[held]
max_bytes = 1000000
[sources.{GREEDY}]
allow_from = ["127.0.0.0/24"]
on_unlisted_address = "hold"
routing_key_prefix = "{ASIDE}"
[[sources.{GREEDY}.credentials]]
name = "2026"
basic = {{ username = "Webhookuser", password = "${{TMS_PASSWORD}}" }}
"""
"""A second source, whose room for held events is soon used up."""

_PLAIN: Final[Mapping[str, str | int]] = {}
_LIMITED: Final[Mapping[str, str | int]] = {"x-max-length": LIMIT, "x-overflow": "reject-publish"}

# Whoever binds these in order has no moment in which the witness gets an event and another queue misses it.
BINDINGS: Final = (
    Binding("classes", "tms.class.*"),
    Binding("completed", "tms.*.completed"),
    Binding(FULL, "tms.class.scheduled"),
    Binding(FULL, "tms.class.guaranteed_to_run"),
    Binding(FULL, "tms.class.cancelled"),
    Binding(EVERYTHING, "tms.#"),
)


class NotReachedError(Exception):
    """Something did not come about in time; the text says what."""


def until(condition: Callable[[], bool], what: str, *, timeout_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; whatever it raises as OSError means that it does not hold yet."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise NotReachedError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.02)


class Rig(Lifetime):
    """One run; use it as a context manager.

    Attributes:
        proxies: one before each node of the cluster; `proxy` is that before the first.
        observations: what was seen besides the records and must not be, in words.
        beside: what a fault runs until it is healed.
    """

    def __init__(
        self, directory: Path, node: Node, *, others: Sequence[Node] = (), disk: bool = True
    ) -> None:
        self.directory = directory
        self.node = node
        self.disk = disk
        self.control = Control(node)
        self.observations: list[str] = []
        self._paused = directory / "paused"
        self._paused.mkdir()
        self._disruptions = Log(directory / "disruptions.jsonl")
        self._confirms = Log(directory / "confirms.jsonl")
        self._bands = Log(directory / "bands.jsonl")
        self.proxies = [
            Proxy(each.port, self._disruptions.write, self._confirms.write) for each in (node, *others)
        ]
        self.proxy = self.proxies[0]
        self._urls = [each.url for each in (node, *others)]
        self._janitor = Janitor(directory / "processes")
        self._stack = contextlib.ExitStack()
        self._consumer: subprocess.Popen[bytes] | None = None
        self._sender: subprocess.Popen[bytes] | None = None
        self.subject: Subject
        self._down_since = math.inf
        self.beside = contextlib.ExitStack()

    def start(self) -> None:
        """Start all but the sender; return when the bridge is connected."""
        self.control.add_bridge_user()
        self.declare()
        for proxy in self.proxies:
            self._stack.enter_context(proxy)
        self._start_consumer()
        self.subject = Subject(
            [self.control.bridge_url(proxy.port) for proxy in self.proxies],
            disk=self.disk,
            max_in_flight=_MAX_IN_FLIGHT,
            more=_OTHERS if self.disk else "",
        )
        self._stack.push(self.subject)
        self._stack.callback(self._keep_logs)
        self.subject.start()
        until(
            lambda: self.subject.metrics()["tms_bridge_broker_connected"] == 1, "a connection to the broker"
        )

    def declare(self) -> None:
        """Declare and bind the consumers' queues; those that are there stay."""
        for binding in BINDINGS:
            self.control.declare([binding], _LIMITED if binding.queue == FULL else _PLAIN)
        self.control.declare_fanout(UNROUTABLE)
        self.control.declare_fanout(QUARANTINE)
        self.control.keep()

    def start_bridge(self) -> None:
        """Start it, and wait until it takes webhooks: without a disk it is not ready without a broker."""
        self.subject.start(probe="/readyz" if self.disk else "/startupz")
        up_since = time.monotonic()
        if up_since - self._down_since > MOST_DOWN_S:
            # A sender calls for fifteen seconds: what found nobody there is the machine's fault.
            self.note_band(
                FaultBand(name="busy-machine", began=self._down_since, ended=up_since, may_give_up=True)
            )
        self._down_since = math.inf

    def note_down(self) -> None:
        """Note that the bridge ends now."""
        self._down_since = time.monotonic()

    def kill_bridge(self) -> None:
        """SIGKILL: everything without an outcome may come again."""
        self.note_down()
        self.subject.kill()
        self.note_kill()

    def note_kill(self) -> None:
        """Note that the bridge has died: what it had not deleted yet may come again.

        What it had in flight is noted by the proxy, as for each connection that ends.
        """
        ids = self.proxy.confirmed(self.subject.max_outstanding)
        self.note(Disruption(cause="kill", at=time.monotonic(), ids=ids))

    def note(self, disruption: Disruption) -> None:
        """Write a disruption down."""
        self._disruptions.write(disruption)

    def note_band(self, band: FaultBand) -> None:
        """Write a fault down."""
        self._bands.write(band)

    def send(self, orders: sender.Orders) -> None:
        """Start the senders."""
        plan = self.directory / "sender.json"
        plan.write_bytes(msgspec.json.encode(orders))
        self._sender = self._spawn("tests.faults.sender", plan)

    def orders(self, *, seed: int, senders: int, rate: float) -> sender.Orders:
        """Return orders for the senders that fit this run."""
        return sender.Orders(
            url=self.subject.url,
            source=SOURCE,
            authorization=AUTHORIZATION,
            attempts=str(self.directory / "attempts.jsonl"),
            given_up=str(self.directory / "given_up.jsonl"),
            seed=seed,
            senders=senders,
            rate=rate,
        )

    def finish_sending(self) -> None:
        """Let the senders send what they have begun to its end."""
        if self._sender is not None:
            self._end(self._sender, timeout_s=60.0)

    def sending(self) -> bool:
        """Tell whether the senders still run."""
        return self._sender is not None and self._sender.poll() is None

    def pause(self, queue: str) -> None:
        """Let nobody read this queue."""
        (self._paused / queue).touch()

    def resume(self, queue: str) -> None:
        """Let the queue be read again."""
        (self._paused / queue).unlink(missing_ok=True)

    def delivered_bytes(self) -> int:
        """Return how much the consumers have written down so far."""
        deliveries = self.directory / "deliveries.jsonl"
        return deliveries.stat().st_size if deliveries.exists() else 0

    def drain(self, *, timeout_s: float = 120.0) -> None:
        """Wait until the outbox and all queues are empty."""
        until(self._is_drained, "the outbox and the queues to be empty", timeout_s=timeout_s)

    def _is_drained(self) -> bool:
        metrics = self.subject.metrics()
        names = ("tms_bridge_outbox_events", "tms_bridge_publishes_outstanding")
        return not any(metrics[name] for name in names) and not any(self.control.ready(self.queues).values())

    @property
    def queues(self) -> list[str]:
        """Every queue that has a consumer."""
        return [*dict.fromkeys(binding.queue for binding in BINDINGS), UNROUTABLE, QUARANTINE]

    def cases(self) -> list[Case]:
        """Return the rows of the bridge's quarantine."""
        if not self.disk:
            return []
        listed = self.subject.command("quarantine", "export", "-")
        if listed.returncode:
            self.observations.append(f"quarantine export failed: {listed.stderr}")
        return [msgspec.json.decode(line, type=Case) for line in listed.stdout.splitlines()]

    def stop(self) -> None:
        """Stop consumers and bridge in order."""
        if (code := self.subject.stop()) != 0:
            self.observations.append(f"the bridge ended with exit code {code} at the end of the run")
        if self._consumer is not None:
            self._end(self._consumer, timeout_s=20.0)

    def history(self, cases: Sequence[Case], samples: Sequence[Sample]) -> History:
        """Read back all that was written down."""
        deliveries = read(self.directory / "deliveries.jsonl", Delivery)
        return History(
            attempts=read(self.directory / "attempts.jsonl", Attempt),
            given_up=read(self.directory / "given_up.jsonl", GivenUp),
            deliveries=[each for each in deliveries if not each.routing_key.startswith(f"{ASIDE}.")],
            bands=read(self.directory / "bands.jsonl", FaultBand),
            disruptions=read(self.directory / "disruptions.jsonl", Disruption),
            confirms=read(self.directory / "confirms.jsonl", Confirm),
            samples=list(samples),
            cases=list(cases),
            bindings=list(BINDINGS),
            outbox=self.disk,
        )

    def close(self) -> None:
        """End everything at once."""
        self.beside.close()
        self._janitor.clean()
        for process in (self._sender, self._consumer):
            if process is not None:
                process.wait()
        self._stack.close()
        self._disruptions.close()
        self._confirms.close()
        self._bands.close()

    def _keep_logs(self) -> None:
        """Put the bridge's and the broker's log to the records, before their directories go."""
        for name, log in (("bridge.log", self.subject.log), ("broker.log", self.node.log)):
            (self.directory / name).write_text(log)

    def _start_consumer(self) -> None:
        plan = self.directory / "consumer.json"
        orders = consumer.Orders(
            urls=self._urls,
            queues=self.queues,
            deliveries=str(self.directory / "deliveries.jsonl"),
            paused=str(self._paused),
        )
        plan.write_bytes(msgspec.json.encode(orders))
        self._consumer = self._spawn("tests.faults.consumer", plan)

    def _spawn(self, module: str, plan: Path) -> subprocess.Popen[bytes]:
        return self._janitor.spawn(
            [sys.executable, "-m", module, str(plan)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            output=self.directory / f"{module}.log",
        )

    def _end(self, process: subprocess.Popen[bytes], *, timeout_s: float) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise NotReachedError(f"{process.args!r} did not end in {timeout_s:g} s") from None
        self._janitor.forget(process)
        if code:
            self.observations.append(f"{process.args!r} ended with exit code {code}")
