"""A memory cgroup for one process, of the first or the second generation, where root may make one."""

import contextlib
import os
from pathlib import Path
from typing import Final, NamedTuple, Self

ROOT: Final = Path("/sys/fs/cgroup")


class Generation(NamedTuple):
    """How one generation of cgroups calls what is needed here; `top` is where its memory groups begin."""

    name: str
    top: Path
    line: str
    limit: str
    events: str


_GENERATIONS: Final = (
    Generation("v1", ROOT / "memory", ":memory:", "memory.limit_in_bytes", "memory.oom_control"),
    Generation("v2", ROOT, "0::", "memory.max", "memory.events"),
)


class NoCageError(Exception):
    """No memory cgroup can be made here; the text says why."""


class Cage:
    """A memory cgroup below our own, so that whatever limits us limits its process too."""

    def __init__(self, path: Path, generation: Generation) -> None:
        self.path = path
        self.generation = generation.name
        self._events = path / generation.events

    @classmethod
    def build(cls, limit_bytes: int) -> Self:
        """Make one.

        Raises:
            NoCageError: this machine has none, or we may not.
        """
        for generation in _GENERATIONS:
            own = _own(generation)
            if own is None:
                continue
            path = own / f"tms-siege-{os.getpid()}"
            try:
                path.mkdir(exist_ok=True)
                (path / generation.limit).write_text(str(limit_bytes))
            except OSError as error:
                with contextlib.suppress(OSError):
                    path.rmdir()
                raise NoCageError(f"cgroup {generation.name}: {error}") from error
            return cls(path, generation)
        raise NoCageError("no memory cgroup is mounted")

    @property
    def entrance(self) -> Path:
        """The file that takes the id of a process which is to be inside."""
        return self.path / "cgroup.procs"

    def kills(self) -> int:
        """Return how many processes the kernel has killed in it for want of memory."""
        words = self._events.read_text().split()
        return int(words[words.index("oom_kill") + 1])


def _own(generation: Generation) -> Path | None:
    """Return the directory of the group that we are in."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if generation.line in line:
            own = generation.top / line.split(":", 2)[2].lstrip("/")
            return own if (own / "cgroup.procs").exists() else None
    return None
