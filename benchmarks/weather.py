"""What a broker's outage does to the taking in of webhooks, and how fast what has gathered drains."""

import time
from collections.abc import Callable, Mapping

from brokers import place
from comparison import Figures, Rounds, measure_full
from rabbitmq import Node
from receivers import Receiver, bridge
from wrk import LoadFailedError, saturate

_BEGUN, _NEARLY_DONE = 0.95, 0.05
_DRAIN_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.1


def _raise_alarm(node: Node) -> None:
    node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1}).")


def _end_alarm(node: Node) -> None:
    node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 4000000000}).")


OUTAGES: Mapping[str, tuple[Callable[[Node], object], Callable[[Node], object]]] = {
    "stopped": (Node.stop, Node.start),
    "black hole": (Node.pause, Node.resume),
    "memory alarm": (_raise_alarm, _end_alarm),
}
"""How each begins and ends."""


def measure_outages(node: Node, rounds: int, seconds: float) -> Rounds:
    """Compare acceptance with and without a broker, and drain what gathers."""
    receiver = bridge(place(node, "weather"), journal=True, name="weather")
    found: Rounds = {kind: [] for kind in OUTAGES}
    try:
        receiver.start()
        measure_full(receiver, 1.0)
        for _ in range(rounds):
            for kind in OUTAGES:
                found[kind].append(_measure_outage(node, receiver, kind, seconds))
    finally:
        receiver.close()
    return found


def _measure_outage(node: Node, receiver: Receiver, kind: str, seconds: float) -> Figures:
    begin, end = OUTAGES[kind]
    normal = measure_full(receiver, seconds)
    begin(node)
    try:
        load = saturate(receiver.target, seconds)
    finally:
        end(node)
    drained = _drain(receiver)
    return {
        "normal_per_s": normal["per_second"],
        "outage_per_s": load.per_second,
        "refused": float(load.refused),
        "live_publish_per_s": normal["published_per_s"],
        "drain_per_s": drained,
    }


def _drain(receiver: Receiver) -> float:
    """Return how many events a second leave, from when the first of the backlog have left."""
    depths = [(time.monotonic(), receiver.metric("tms_bridge_outbox_events"))]
    while depths[-1][1]:
        if depths[-1][0] - depths[0][0] > _DRAIN_WITHIN_S:
            raise LoadFailedError(f"the outbox did not drain: {depths[-1][1]:.0f} wait")
        time.sleep(_LOOK_EVERY_S)
        depths.append((time.monotonic(), receiver.metric("tms_bridge_outbox_events")))
    receiver.settle()
    most = depths[0][1]
    middle = [(when, depth) for when, depth in depths if _NEARLY_DONE < depth / max(most, 1) < _BEGUN]
    if len(middle) < 2:  # noqa: PLR2004 - a rate needs two points
        return most / (depths[-1][0] - depths[0][0] or _LOOK_EVERY_S)
    return (middle[0][1] - middle[-1][1]) / (middle[-1][0] - middle[0][0])
