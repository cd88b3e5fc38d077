"""Makes sure that what a program started ends with it, even when it is killed.

A small shell waits at the other end of a pipe. It ends with the pipe, so no signal handler, exit hook or
luck is needed: whatever happens to the starter, the kernel closes the pipe.
"""

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

# The last line read names the process groups that still run; reading ends with the pipe.
_WAIT_THEN_CLEAN = """
running=
while read -r line; do running=$line; done
for group in $running; do kill -s KILL -- "-$group"; done
tries=0
until rm -rf -- "$1" || [ $tries -ge 20 ]; do tries=$((tries + 1)); sleep 0.1; done
eval "$2"
"""


class Janitor:
    """Kills the named process groups and removes the directory once this process is gone or calls `clean`."""

    def __init__(self, directory: Path, *, command: str = ":") -> None:
        self._groups: set[int] = set()
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WAIT_THEN_CLEAN, "janitor", str(directory), command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal must not end it before its work
        )

    def spawn(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program that leads its own process group, so that Ctrl-C is ours to handle."""
        with (output or Path("/dev/null")).open("ab") as sink, _interrupts_later():
            process = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.add(process.pid)
            self._tell()
        return process

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """Take out a process that has been waited for: its id may soon be somebody else's."""
        self._groups.discard(process.pid)
        self._tell()

    def clean(self) -> None:
        """End everything now and wait until it is done."""
        if self._shell.stdin is not None and not self._shell.stdin.closed:
            self._shell.stdin.close()
        self._shell.wait()

    def _tell(self) -> None:
        if self._shell.stdin is not None:
            self._shell.stdin.write(f"{' '.join(map(str, self._groups))}\n".encode())
            self._shell.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clean()


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Hold interrupts back while a program has started and the janitor does not know it yet."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda which, _frame: came.append(which))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for interrupt in came:
        signal.raise_signal(interrupt)
