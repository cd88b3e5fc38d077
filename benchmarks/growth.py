"""Whether the cost of an event grows with connections, bodies, entities, a backlog, or uptime."""

import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence

import msgspec

from brokers import place
from comparison import Figures, measure_full, measure_paced
from rabbitmq import Node
from receivers import Receiver, bridge
from wrk import LoadFailedError

CONNECTIONS = (1, 4, 16, 64, 256, 1024)
BODY_BYTES = (512, 2048, 8192, 32_768, 65_536)
ENTITIES = (1, 10, 100, 1000, 10_000)
BACKLOG = (0, 10_000, 100_000, 1_000_000)
TENTHS = 10

_ENTITY_RATE = 300.0
"""Events of one entity go one after the other, so their rate is bounded by the broker's answer."""

Curve = list[tuple[float, Figures]]


def by_connections(receiver: Receiver, seconds: float, points: Sequence[int] = CONNECTIONS) -> Curve:
    """Measure the cost over the number of callers."""
    return [(count, measure_full(receiver, seconds, connections=count)) for count in points]


def by_body(receiver: Receiver, seconds: float, points: Sequence[int] = BODY_BYTES) -> Curve:
    """Measure the cost over the size of the body."""
    return [(size, measure_full(receiver, seconds, body_bytes=size)) for size in points]


def by_entities(receiver: Receiver, seconds: float, points: Sequence[int] = ENTITIES) -> Curve:
    """Measure the cost over the number of classes that change."""
    return [(count, measure_paced(receiver, seconds, rate=_ENTITY_RATE, entities=count)) for count in points]


def by_uptime(receiver: Receiver, seconds: float) -> Curve:
    """Measure the cost in each tenth of a long run."""
    return [(tenth, measure_full(receiver, seconds / TENTHS)) for tenth in range(1, TENTHS + 1)]


def by_backlog(node: Node, seconds: float, points: Sequence[int] = BACKLOG) -> Curve:
    """Measure the cost of taking in while a broker is away and so many events wait already."""
    url = place(node, "backlog")
    # A port that nobody listens on: the broker is away from the start, and nothing drains.
    receiver = bridge(url.replace(f":{node.port}/", ":1/"), journal=True, name="backlog")
    curve: Curve = []
    waiting = 0
    try:
        for point in points:
            _import(receiver, point - waiting)
            receiver.start()
            curve.append((point, _accept(receiver, seconds)))
            waiting = round(receiver.metric("tms_bridge_outbox_events"))
            receiver.stop()
    finally:
        receiver.close()
    return curve


def _accept(receiver: Receiver, seconds: float) -> Figures:
    settle, receiver.settle = receiver.settle, lambda: None  # type: ignore[method-assign]  # nothing drains
    try:
        measure_full(receiver, 1.0)
        return measure_full(receiver, seconds)
    finally:
        receiver.settle = settle  # type: ignore[method-assign]  # as above


def _import(receiver: Receiver, count: int) -> None:
    """Put events into the outbox of a bridge that does not run, as an operator would."""
    if count <= 0:
        return
    command = [receiver.command[0], "outbox", "import", "-", "--config", "tms-bridge.toml"]
    done = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=receiver.directory, stderr=subprocess.PIPE)
    if done.stdin is not None:
        done.stdin.writelines(_exported(count))
    _, said = done.communicate()
    if done.returncode:
        raise LoadFailedError(f"{' '.join(command)}\n{said.decode()}")


def _exported(count: int) -> Iterator[bytes]:
    """Yield lines of an export: small events of ten thousand classes."""
    row = {
        "state": "pending", "seq": 0, "why": "", "seen": 0, "kind": "event", "source": "contoso",
        "trigger": "class", "status": "scheduled", "routing_key": "tms.class.scheduled",
        "received_at_us": time.time_ns() // 1000, "digest": "0" * 64, "replayed": False, "reason": "",
        "traceparent": f"00-{'1' * 32}-{'1' * 16}-01", "body": b"{}",
    }  # fmt: skip
    encode = msgspec.json.Encoder().encode
    for number in range(count):
        yield encode(row | {"id": str(uuid.uuid4()), "entity": str(number % 10_000)}) + b"\n"
