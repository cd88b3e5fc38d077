"""What the kernel says of a process."""

import os
import re
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STATUS = re.compile(r"^(VmHWM|VmRSS):\s+(\d+) kB$", re.MULTILINE)
_USER_TIME, _SYSTEM_TIME = 11, 12
"""Fields of /proc/PID/stat, counted after the program's name, which may hold blanks."""


def cpu_s(pid: int) -> float:
    """Return how much processor time a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])) / _TICKS_PER_S


def memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident memory, now and at its peak."""
    found = dict(_STATUS.findall(Path(f"/proc/{pid}/status").read_text()))
    return int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024
