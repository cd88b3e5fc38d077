"""Runs tms-bridge on a disk, a clock and a life that can be shaken from outside.

    python -m tests.faults.shaken SOCKET serve --config FILE

Each connection to the Unix socket carries one line and is answered `ok` once it is in force:

    clock SECONDS            the wall clock goes by so much; at the start by SHAKEN_CLOCK_S of the environment
    fsync ok|error|hang|SECONDS
                             syncing works, fails with EIO, never returns (until `fsync ok`), or takes so much
                             longer
    write ok|full|quota|readonly
                             writing works, or fails with ENOSPC, EDQUOT or EROFS
    poison ok|N              publishing works, or one message in N meets a defect in our own code
    kill POINT [N]           SIGKILL the N-th time that POINT is passed
    tasks                    changes nothing; the answer is how many tasks there are

The points: `committed` (an event is durable, its answer is not noted), `marked` (noted, not a byte of the
answer written), `published` (bytes are with the kernel, no confirm yet), `acked` (the confirm is there, the
row is not deleted).
"""

import asyncio
import contextlib
import errno
import functools
import os
import signal
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any, Final

from tests.faults import imports

POINTS: Final = ("committed", "marked", "published", "acked")
_SYNCS: Final = ("fsync", "fdatasync")
_WRITES: Final = ("write", "pwrite", "pwrite64", "ftruncate", "ftruncate64")
_WRITE_ERRORS: Final = {"ok": 0, "full": errno.ENOSPC, "quota": errno.EDQUOT, "readonly": errno.EROFS}


class Shaking:
    """What is in force just now."""

    def __init__(self) -> None:
        self.clock_s = float(os.environ.get("SHAKEN_CLOCK_S", "0"))
        self.fsync_error = 0
        self.fsync_delay_s = 0.0
        self.disk_answers = threading.Event()
        self.disk_answers.set()
        self.write_error = 0
        self.poison_every = 0
        self.kill_at: str | None = None
        self.kill_after = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    def note_loop(self) -> None:
        """Remember the event loop that runs now."""
        self.loop = asyncio.get_running_loop()

    @property
    def tasks(self) -> int:
        """How many tasks the loop has."""
        return len(asyncio.all_tasks(self.loop)) if self.loop is not None else 0

    def obey(self, line: str) -> None:
        """Put one line in force."""
        word, *values = line.split()
        if word == "clock":
            self.clock_s = float(values[0])
        elif word == "fsync":
            self._sync(values[0])
        elif word == "write":
            self.write_error = _WRITE_ERRORS[values[0]]
        elif word == "poison":
            self.poison_every = 0 if values[0] == "ok" else int(values[0])
        elif word == "kill" and values[0] in POINTS:
            self.kill_after = int(values[1]) if len(values) > 1 else 1
            self.kill_at = values[0]
        else:
            raise ValueError(line)

    def publishing(self, message_id: str) -> None:
        """Meet a defect that nobody foresaw; the id decides, so that a message meets it each time."""
        if self.poison_every and zlib.crc32(message_id.encode()) % self.poison_every == 0:
            raise ZeroDivisionError("poison")

    def allocating(self) -> None:
        """Refuse room where the quota is used up: SQLite is not the only one that asks."""
        if self.write_error == errno.EDQUOT:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

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
            line = stream.readline().strip()
            if line == "tasks":
                stream.write(f"{shaking.tasks}\n")
            else:
                shaking.obey(line)
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
    _watch(os, "posix_fallocate", before=lambda *_: shaking.allocating())


def _shake_life(shaking: Shaking) -> None:
    from tms_bridge.broker.publisher import PipelinedPublisher  # noqa: PLC0415 - see main
    from tms_bridge.outbox.journal import Journal  # noqa: PLC0415 - see main

    # Every way to a 2xx leads through it, once for all that one commit has made durable.
    _watch(Journal, "__init__", after=lambda *_: shaking.note_loop())
    _watch(Journal, "_mark", before=lambda *_: shaking.passing("committed"))
    _watch(Journal, "_mark", after=lambda *_: shaking.passing("marked"))
    _watch(PipelinedPublisher, "_flush", after=lambda *_: shaking.passing("published"))
    _watch(Journal, "settle", before=lambda *_: shaking.passing("acked"))
    _watch(PipelinedPublisher, "publish", before=lambda *call: shaking.publishing(call[2].id))


def _nothing(*_: Any) -> None:
    """Do nothing."""


def _watch(
    owner: object,
    name: str,
    *,
    before: Callable[..., None] = _nothing,
    after: Callable[..., None] = _nothing,
) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        before(*args)
        result = original(*args, **kwargs)
        after(*args)
        return result

    setattr(owner, name, watched)


if __name__ == "__main__":
    main()
