"""How long a start takes, and what an idle bridge holds."""

import time
from statistics import median

from brokers import place
from comparison import Figures
from rabbitmq import Node
from receivers import bridge

_IDLE_S = 2.0


def measure_starts(node: Node, times: int) -> dict[str, Figures]:
    """Start both kinds of bridge again and again."""
    url = place(node, "start")
    return {name: _starts(url, times, journal=name == "journal") for name in ("journal", "no disk")}


def _starts(url: str, times: int, *, journal: bool) -> Figures:
    receiver = bridge(url, journal=journal, name="start")
    seconds: list[float] = []
    resident: list[float] = []
    try:
        for number in range(times):
            seconds.append(receiver.start())
            time.sleep(_IDLE_S if number == 0 else 0.2)
            resident.append(receiver.memory_mb[0])
            receiver.stop()
    finally:
        receiver.close()
    # The first start makes the journal and may find the program's files uncached; later ones are restarts.
    return {
        "ready_s": median(seconds),
        "least_s": min(seconds),
        "most_s": max(seconds),
        "idle_rss_mb": resident[0],
    }
