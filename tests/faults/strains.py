"""Faults that strain the bridge itself: its disk, descriptors, operators, other sources, its own defects.

Each says in its `heal` what the bridge must have done meanwhile, and raises where it has not.
"""

import json
import random
import time
from pathlib import Path
from typing import Final

from tests.faults.greed import Greed
from tests.faults.records import Binding
from tests.faults.rig import ASIDE, Rig, until

CROWD: Final = 150_000
"""Entities that wait behind a queue that takes nothing."""

POISONED: Final = 100
"""One message in so many meets a defect."""

STEP_S: Final = -90
_CROWDED: Final = Binding("crowded", f"{ASIDE}.#")
_SINK: Final = Binding("sink", f"{ASIDE}.#")
# A classic queue: a quorum queue takes a few more from each new channel.
_REFUSING: Final[dict[str, str | int]] = {
    "x-queue-type": "classic",
    "x-max-length": 1,
    "x-overflow": "reject-publish",
}
_FORGETTING: Final[dict[str, str | int]] = {"x-queue-type": "classic", "x-max-length": 1}

_ROW: Final[dict[str, object]] = {
    "state": "pending",
    "seq": 1,
    "why": "",
    "seen": 1,
    "id": "0",
    "kind": "event",
    "source": "greedy",
    "trigger": "class",
    "status": "completed",
    "routing_key": f"{ASIDE}.class.completed",
    "entity": "7",
    "received_at_us": 1_785_000_000_000_000,
    "digest": "0" * 64,
    "replayed": False,
    "reason": "",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "body": "e30=",
}
_HOSTILE: Final[tuple[dict[str, object], ...]] = (
    {"received_at_us": 2**63},
    {"received_at_us": 2**70},
    {"received_at_us": -1},
    {"seen": 2**63},
    {"seq": 2**64},
    {"routing_key": "k" * 256},
    {"id": "\ud800"},
    {"state": "held", "kind": "quarantine"},
    {"body": "===="},
    {"body": None},
)


def hang_disk(rig: Rig, _rng: random.Random) -> None:
    """Let no sync return."""
    rig.subject.shake("fsync hang")


def unhang_disk(rig: Rig, _rng: random.Random) -> None:
    """Let syncs return; the bridge was alive and not ready, and is ready again."""
    until(lambda: not rig.subject.answers("/readyz"), "not to be ready on a disk that hangs")
    until(lambda: rig.subject.answers("/livez"), "to be alive on a disk that hangs")
    rig.subject.shake("fsync ok")
    until(lambda: rig.subject.answers("/readyz"), "to be ready on a disk that answers again")


def exhaust_descriptors(rig: Rig, _rng: random.Random) -> None:
    """Leave it the descriptors that it has open; then it loses the broker's."""
    rig.subject.limit_descriptors(rig.subject.open_descriptors())
    rig.proxy.reset()


def give_descriptors(rig: Rig, _rng: random.Random) -> None:
    """Let it open more again; it has outlived their absence and finds its broker."""
    rig.subject.limit_descriptors(None)
    until(lambda: rig.subject.metrics()["tms_bridge_broker_connected"] == 1, "the broker to be found again")


def import_hostile_lines(rig: Rig, rng: random.Random) -> None:
    """Import what no export holds; each is refused by itself, with words."""
    lines = [json.dumps(_ROW | rng.choice(_HOSTILE)), "[" * 100_000, rng.randbytes(2000).hex()]
    for line in lines:
        path = rig.directory / "hostile.jsonl"
        path.write_text(line)
        refused = rig.subject.command("outbox", "import", str(path))
        if refused.returncode not in (1, 2) or "Traceback" in refused.stderr:
            rig.observations.append(
                f"import of {line[:300]} ended with {refused.returncode}: {refused.stderr}"
            )
    until(lambda: rig.subject.answers("/readyz"), "to be ready after a hostile import")


def poison(rig: Rig, _rng: random.Random) -> None:
    """Let our own code fail for some messages."""
    rig.subject.shake(f"poison {POISONED}")


def cure(rig: Rig, _rng: random.Random) -> None:
    """Let it fail no more; what was parked meanwhile is sent again, as an operator would."""
    until(lambda: rig.subject.metrics()["tms_bridge_outbox_refused"] > 0, "a poisoned message to be parked")
    rig.subject.shake("poison ok")
    until(lambda: retried(rig), "what was parked to be sent again", timeout_s=120.0)


def retried(rig: Rig) -> bool:
    """Retry while there is something in flight that may still be refused."""
    if rig.subject.metrics()["tms_bridge_outbox_refused"]:
        rig.subject.command("outbox", "retry", "--all")
        return False
    return rig.subject.metrics()["tms_bridge_broker_connected"] == 1


def be_greedy(rig: Rig, _rng: random.Random) -> None:
    """Let another source take all it can get."""
    greed = rig.beside.enter_context(Greed(rig.subject.url))
    until(lambda: bool(greed.codes["slow", 503]), "the greedy source to use its share up")


def be_modest(rig: Rig, _rng: random.Random) -> None:
    """End that; whether others were refused meanwhile is the checker's to say."""
    rig.beside.close()


def step_clock_back(rig: Rig, _rng: random.Random) -> None:
    """Set the clock back, let events come, and start the bridge anew by that clock."""
    rig.subject.shake(f"clock {STEP_S}")
    time.sleep(1.0)
    rig.kill_bridge()
    rig.start_bridge()


def set_clock_right(rig: Rig, _rng: random.Random) -> None:
    """Put the clock forward to the right time."""
    rig.subject.shake("clock 0")


def crowd(rig: Rig, _rng: random.Random) -> None:
    """Let very many entities wait behind a queue that takes nothing."""
    rig.control.declare([_CROWDED], _REFUSING)
    path = rig.directory / "crowd.jsonl"
    _write_crowd(path)
    imported = rig.subject.command("outbox", "import", str(path))
    path.unlink()
    if imported.returncode:
        rig.observations.append(f"the import of a crowd ended with {imported.returncode}: {imported.stderr}")
    until(lambda: rig.subject.metrics()["tms_bridge_lanes_blocked"] >= 1, "the queue to refuse")


def disperse(rig: Rig, _rng: random.Random) -> None:
    """Let all of them go to a queue that forgets; meanwhile other keys were served."""
    before = rig.delivered_bytes()
    until(lambda: rig.delivered_bytes() > before, "events of other keys to arrive beside a crowd")
    rig.control.declare([_SINK], _FORGETTING)
    rig.control.unbind([_CROWDED])


def _write_crowd(path: Path) -> None:
    first = time.time_ns() << 64  # rising, as the bridge's own are
    with path.open("w") as file:
        for number in range(CROWD):
            file.write(json.dumps(_ROW | {"id": f"{first + number:x}", "entity": str(number)}) + "\n")
