import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import ports
from ports import free_port

DRAWN = 120


def draw_elsewhere(stack: ExitStack) -> set[int]:
    """Draw in a process that goes on until the stack is closed."""
    code = f"import ports; print([ports.free_port() for _ in range({DRAWN})], flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(ports.__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    stack.enter_context(process)
    assert process.stdout is not None
    return set(map(int, process.stdout.readline().strip("[]\n").split(",")))


def test_ports_lie_below_the_range_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert free_port() < lowest


def test_a_port_comes_again_only_after_all_others() -> None:
    assert len({free_port() for _ in range(50)}) == 50


def test_no_two_processes_are_given_the_same_port() -> None:
    with ExitStack() as stack:
        drawn = [{free_port() for _ in range(DRAWN)}, *(draw_elsewhere(stack) for _ in range(4))]
    assert sum(map(len, drawn)) == len(set().union(*drawn))
