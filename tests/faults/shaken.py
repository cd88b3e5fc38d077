"""Runs tms-bridge on a disk, a clock and a life that can be shaken from outside.

    python -m tests.faults.shaken SOCKET serve --config FILE

Each connection to the Unix socket carries one line and is answered `ok` once it is in force:

    clock SECONDS            the wall clock goes by so much
    fsync ok|error|hang|SECONDS
                             syncing works, fails with EIO, never returns (until `fsync ok`), or takes so much
                             longer
    write ok|full|readonly   writing works, or fails with ENOSPC or EROFS
    kill POINT [N]           SIGKILL the N-th time that POINT is passed

The points: `committed` (an event is durable, its answer is not noted), `marked` (noted, not a byte of the
answer written), `published` (bytes are with the kernel, no confirm yet), `acked` (the confirm is there, the
row is not deleted).
"""

import contextlib
import errno
import functools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from tests.faults import imports

POINTS: Final = ("committed", "marked", "published", "acked")
_SYNCS: Final = ("fsync", "fdatasync")
_WRITES: Final = ("write", "pwrite", "pwrite64", "ftruncate", "ftruncate64")
_WRITE_ERRORS: Final = {"ok": 0, "full": errno.ENOSPC, "readonly": errno.EROFS}


class Shaking:
    """What is in force just now."""

    def __init__(self) -> None:
        self.clock_s = 0.0
        self.fsync_error = 0
        self.fsync_delay_s = 0.0
        self.disk_answers = threading.Event()
        self.disk_answers.set()
        self.write_error = 0
        self.kill_at: str | None = None
        self.kill_after = 0

    def obey(self, line: str) -> None:
        """Put one line in force."""
        word, *values = line.split()
        if word == "clock":
            self.clock_s = float(values[0])
        elif word == "fsync":
            self._sync(values[0])
        elif word == "write":
            self.write_error = _WRITE_ERRORS[values[0]]
        elif word == "kill" and values[0] in POINTS:
            self.kill_after = int(values[1]) if len(values) > 1 else 1
            self.kill_at = values[0]
        else:
            raise ValueError(line)

    def passing(self, point: str) -> None:
        """Die here, if that is asked."""
        if self.kill_at == point:
            self.kill_after -= 1
            if self.kill_after <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def _sync(self, how: str) -> None:
        self.fsync_error = errno.EIO if how == "error" else 0
        self.fsync_delay_s = 0.0 if how in ("ok", "error", "hang") else float(how)
        if how == "hang":
            self.disk_answers.clear()
        else:
            self.disk_answers.set()

    def syncing(self) -> int:
        """Say with which errno a sync fails, after what it takes."""
        self.disk_answers.wait()
        if self.fsync_delay_s:
            time.sleep(self.fsync_delay_s)
        return self.fsync_error


def main() -> None:
    """Shake what is shaken, then be tms-bridge."""
    shaking = Shaking()
    _listen(sys.argv.pop(1), shaking)
    _shake_clock(shaking)
    _shake_disk(shaking)
    _shake_life(shaking)
    from tms_bridge.cli import main as run  # noqa: PLC0415 - only now: it must see the shaken functions

    run()


def _listen(path: str, shaking: Shaking) -> None:
    server = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - as the socket module has it: names, not paths
    server.bind(path)
    server.listen()
    threading.Thread(target=_obey, args=(server, shaking), daemon=True).start()


def _obey(server: socket.socket, shaking: Shaking) -> None:
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rw") as stream:
            shaking.obey(stream.readline())
            stream.write("ok\n")


def _shake_clock(shaking: Shaking) -> None:
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + shaking.clock_s
    time.time_ns = lambda: now_ns() + int(shaking.clock_s * 1e9)


def _shake_disk(shaking: Shaking) -> None:
    """Stand between SQLite and libc; which of the names it uses depends on how it was built."""
    for names, decide in ((_SYNCS, shaking.syncing), (_WRITES, lambda: shaking.write_error)):
        if not sum(imports.interpose(name, decide) for name in names):
            raise RuntimeError(f"SQLite imports none of {names}")


def _shake_life(shaking: Shaking) -> None:
    from tms_bridge.broker.publisher import PipelinedPublisher  # noqa: PLC0415 - see main
    from tms_bridge.outbox.journal import Journal  # noqa: PLC0415 - see main

    # Every way to a 2xx leads through it, once for all that one commit has made durable.
    _watch(Journal, "_mark", before=lambda: shaking.passing("committed"))
    _watch(Journal, "_mark", after=lambda: shaking.passing("marked"))
    _watch(PipelinedPublisher, "_flush", after=lambda: shaking.passing("published"))
    _watch(Journal, "settle", before=lambda: shaking.passing("acked"))


def _nothing() -> None:
    """Do nothing."""


def _watch(
    owner: type, name: str, *, before: Callable[[], None] = _nothing, after: Callable[[], None] = _nothing
) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        before()
        result = original(*args, **kwargs)
        after()
        return result

    setattr(owner, name, watched)


if __name__ == "__main__":
    main()
