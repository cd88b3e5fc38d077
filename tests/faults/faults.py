"""Every fault as an inject and a heal, with what it may cost.

A fault is healed when `heal` returns: whatever it took is given back, and a bridge that died runs again.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from tests.faults import strains
from tests.faults.half_open import Manner
from tests.faults.rig import BINDINGS, FULL, Rig, until
from tests.faults.subject import Subject, SubjectFailedError

Step = Callable[[Rig, random.Random], None]

_HOUR_S: Final = 3600
_SLOW_SYNC_S: Final = 0.15
_VERY_SLOW_SYNC_S: Final = 1.0
_SMALL_MESSAGE_BYTES: Final = 4000
"""Lower than the messages of the sender's large bodies, larger than all others."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault.

    Attributes:
        hold_s: how long it lasts, at least and at most, from the end of the injection.
        takes_bridge: the bridge is down for a while, or cannot be reached.
        takes_broker: the broker cannot be reached or takes nothing; then a bridge may die as well.
        takes_some: the broker does not confirm some events, so that without an outbox they are given up.
        may_give_up: the sender may have to give events up: the outbox has no room.
        topology: consumers' queues may miss events that others get.
        needs_disk: it is a fault of the outbox on disk.
        answers_take_s: no 2xx can come sooner than this after its call.
        spares_others: none of the sender's calls may be refused because of it.
    """

    name: str
    inject: Step
    heal: Step
    hold_s: tuple[float, float] = (0.0, 0.0)
    takes_bridge: bool = False
    takes_broker: bool = False
    takes_some: bool = False
    may_give_up: bool = False
    topology: bool = False
    needs_disk: bool = False
    answers_take_s: float = 0.0
    spares_others: bool = False


def _nothing(_rig: Rig, _rng: random.Random) -> None:
    """Nothing is left to heal."""


def _reset(rig: Rig, _rng: random.Random) -> None:
    rig.proxy.reset()


def _hole(rig: Rig, _rng: random.Random) -> None:
    rig.proxy.black_hole()


def _half_open(rig: Rig, rng: random.Random) -> None:
    rig.proxy.half_open(rng.choice(list(Manner)))


def _delay(rig: Rig, rng: random.Random) -> None:
    rig.proxy.delay(rng.uniform(0.1, 0.5))


def _pass_on(rig: Rig, _rng: random.Random) -> None:
    rig.proxy.heal()


def _kill_broker(rig: Rig, _rng: random.Random) -> None:
    rig.node.kill()


def _stop_broker(rig: Rig, _rng: random.Random) -> None:
    rig.node.stop()


def _start_broker(rig: Rig, _rng: random.Random) -> None:
    rig.node.start()


def _memory_alarm(rig: Rig, _rng: random.Random) -> None:
    rig.control.set_memory_alarm(on=True)


def _memory_again(rig: Rig, _rng: random.Random) -> None:
    rig.control.set_memory_alarm(on=False)


def _disk_alarm(rig: Rig, _rng: random.Random) -> None:
    rig.control.set_disk_alarm(on=True)


def _disk_again(rig: Rig, _rng: random.Random) -> None:
    rig.control.set_disk_alarm(on=False)


def _delete_exchange(rig: Rig, _rng: random.Random) -> None:
    rig.control.delete_exchange()


def _declare(rig: Rig, _rng: random.Random) -> None:
    rig.declare()


def _unbind(rig: Rig, _rng: random.Random) -> None:
    rig.control.unbind(BINDINGS)


def _bind(rig: Rig, _rng: random.Random) -> None:
    rig.control.bind(BINDINGS)
    rig.control.keep()


def _forbid_topic(rig: Rig, rng: random.Random) -> None:
    key = rng.choice((r"tms\.class\.scheduled", r"tms\.course_assignment\.completed"))
    rig.control.permit_topics(f"^(?!{key}$).*$")
    rig.proxy.reset()


def _permit(rig: Rig, _rng: random.Random) -> None:
    rig.control.permit()
    rig.proxy.reset()


def _limit_size(rig: Rig, _rng: random.Random) -> None:
    rig.control.set_max_message_size(_SMALL_MESSAGE_BYTES)
    rig.proxy.reset()


def _lift_size(rig: Rig, _rng: random.Random) -> None:
    """Lift the limit, and send again what was refused meanwhile, as an operator would."""
    rig.control.set_max_message_size(16 << 20)
    rig.proxy.reset()
    if rig.disk:
        until(lambda: strains.retried(rig), "what was refused to be sent again", timeout_s=120.0)


def _stop_reading(rig: Rig, _rng: random.Random) -> None:
    rig.pause(FULL)


def _read_again(rig: Rig, _rng: random.Random) -> None:
    rig.resume(FULL)


def _revoke(rig: Rig, _rng: random.Random) -> None:
    rig.control.revoke_credentials()
    rig.proxy.reset()


def _restore(rig: Rig, _rng: random.Random) -> None:
    rig.control.restore_credentials()


def _kill_bridge(rig: Rig, _rng: random.Random) -> None:
    rig.kill_bridge()


def _kill_at(point: str) -> Step:
    """Kill the bridge where it passes a point; where it does not come by, anywhere."""

    def kill(rig: Rig, rng: random.Random) -> None:
        rig.subject.shake(f"kill {point} {rng.randint(1, 20)}")
        deadline = time.monotonic() + 3.0
        while rig.subject.running and time.monotonic() < deadline:
            time.sleep(0.01)
        rig.kill_bridge()

    return kill


def _terminate(rig: Rig, _rng: random.Random) -> None:
    rig.note_down()
    rig.subject.terminate()
    if (code := rig.subject.wait()) != 0:
        rig.observations.append(f"after SIGTERM the bridge ended with exit code {code}")


def _start_bridge(rig: Rig, _rng: random.Random) -> None:
    rig.start_bridge()


def _break_disk(line: str) -> Step:
    """Break the disk in a way that ends the bridge."""

    def break_disk(rig: Rig, _rng: random.Random) -> None:
        rig.note_down()
        rig.subject.shake(line)
        code = rig.subject.wait()
        rig.note_kill()
        if code == 0:
            rig.observations.append(f"after '{line}' the bridge ended with exit code 0")

    return break_disk


def _shake(line: str) -> Step:
    def shake(rig: Rig, _rng: random.Random) -> None:
        rig.subject.shake(line)

    return shake


def _jump(rig: Rig, rng: random.Random) -> None:
    rig.subject.shake(f"clock {rng.choice((-_HOUR_S, _HOUR_S))}")


def _second_bridge(rig: Rig, _rng: random.Random) -> None:
    """Start a second bridge on the same directory, with ports of its own; it must refuse."""
    second = Subject(["amqp://127.0.0.1:1"], outbox=rig.subject.outbox)
    try:
        second.start(wait=False)
        if second.wait(timeout_s=60) == 1:
            return
    except SubjectFailedError:
        pass  # it runs
    finally:
        second.close()
    rig.observations.append("a second bridge on the same outbox directory did not refuse to start")


FAULTS: Final = (
    Fault(name="reset", inject=_reset, heal=_nothing),
    Fault(name="black-hole", inject=_hole, heal=_pass_on, hold_s=(2, 14), takes_broker=True),
    Fault(name="half-open-broker", inject=_half_open, heal=_pass_on, hold_s=(3, 10), takes_broker=True),
    Fault(name="slow-network", inject=_delay, heal=_pass_on, hold_s=(2, 6)),
    Fault(name="broker-kill", inject=_kill_broker, heal=_start_broker, hold_s=(0, 4), takes_broker=True),
    Fault(name="broker-stop", inject=_stop_broker, heal=_start_broker, hold_s=(5, 150), takes_broker=True),
    Fault(name="memory-alarm", inject=_memory_alarm, heal=_memory_again, hold_s=(2, 8), takes_broker=True),
    Fault(name="disk-alarm", inject=_disk_alarm, heal=_disk_again, hold_s=(2, 8), takes_broker=True),
    Fault(
        name="exchange-deleted",
        inject=_delete_exchange,
        heal=_declare,
        hold_s=(0.5, 3),
        takes_some=True,
        topology=True,
    ),
    Fault(name="too-large", inject=_limit_size, heal=_lift_size, hold_s=(2, 5), takes_some=True),
    Fault(name="topic-forbidden", inject=_forbid_topic, heal=_permit, hold_s=(2, 6), takes_some=True),
    Fault(name="queue-full", inject=_stop_reading, heal=_read_again, hold_s=(4, 10), takes_some=True),
    Fault(name="no-queue", inject=_unbind, heal=_bind, hold_s=(1, 4), topology=True),
    Fault(name="credentials-revoked", inject=_revoke, heal=_restore, hold_s=(2, 6), takes_broker=True),
    Fault(name="bridge-kill", inject=_kill_bridge, heal=_start_bridge, hold_s=(0, 4), takes_bridge=True),
    Fault(name="kill-committed", inject=_kill_at("committed"), heal=_start_bridge, takes_bridge=True),
    Fault(name="kill-marked", inject=_kill_at("marked"), heal=_start_bridge, takes_bridge=True),
    Fault(name="kill-published", inject=_kill_at("published"), heal=_start_bridge, takes_bridge=True),
    Fault(name="kill-acked", inject=_kill_at("acked"), heal=_start_bridge, takes_bridge=True),
    Fault(name="bridge-stop", inject=_terminate, heal=_start_bridge, hold_s=(0, 2), takes_bridge=True),
    Fault(
        name="disk-full",
        inject=_shake("write full"),
        heal=_shake("write ok"),
        hold_s=(1, 6),
        may_give_up=True,
        needs_disk=True,
    ),
    Fault(
        name="fsync-error",
        inject=_break_disk("fsync error"),
        heal=_start_bridge,
        takes_bridge=True,
        needs_disk=True,
    ),
    Fault(
        name="read-only",
        inject=_break_disk("write readonly"),
        heal=_start_bridge,
        takes_bridge=True,
        needs_disk=True,
    ),
    Fault(
        name="slow-disk",
        inject=_shake(f"fsync {_SLOW_SYNC_S}"),
        heal=_shake("fsync ok"),
        answers_take_s=_SLOW_SYNC_S,
        hold_s=(2, 6),
        needs_disk=True,
    ),
    Fault(name="clock-jump", inject=_jump, heal=_shake("clock 0"), hold_s=(2, 6)),
    Fault(
        name="disk-hang",
        inject=strains.hang_disk,
        heal=strains.unhang_disk,
        hold_s=(7, 12),
        may_give_up=True,
        needs_disk=True,
    ),
    Fault(
        name="very-slow-disk",
        inject=_shake(f"fsync {_VERY_SLOW_SYNC_S}"),
        heal=_shake("fsync ok"),
        answers_take_s=_VERY_SLOW_SYNC_S,
        hold_s=(4, 8),
        needs_disk=True,
    ),
    Fault(
        name="quota",
        inject=_shake("write quota"),
        heal=_shake("write ok"),
        hold_s=(1, 6),
        may_give_up=True,
        needs_disk=True,
    ),
    Fault(
        name="descriptors",
        inject=strains.exhaust_descriptors,
        heal=strains.give_descriptors,
        hold_s=(2, 5),
        takes_bridge=True,
        takes_broker=True,
    ),
    Fault(name="hostile-import", inject=strains.import_hostile_lines, heal=_nothing, needs_disk=True),
    Fault(
        name="poison",
        inject=strains.poison,
        heal=strains.cure,
        hold_s=(2, 5),
        needs_disk=True,
    ),
    Fault(
        name="greedy-source",
        inject=strains.be_greedy,
        heal=strains.be_modest,
        hold_s=(5, 9),
        spares_others=True,
        needs_disk=True,
    ),
    Fault(
        name="clock-step",
        inject=strains.step_clock_back,
        heal=strains.set_clock_right,
        hold_s=(2, 4),
        takes_bridge=True,
    ),
    Fault(name="crowded-queue", inject=strains.crowd, heal=strains.disperse, hold_s=(5, 15), needs_disk=True),
    Fault(name="second-bridge", inject=_second_bridge, heal=_nothing, needs_disk=True),
)

BY_NAME: Final[Mapping[str, Fault]] = {fault.name: fault for fault in FAULTS}
