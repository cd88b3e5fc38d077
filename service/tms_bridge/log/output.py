"""Standard output, which must never hold up a webhook: whoever reads it may stop reading.

A line goes out at once while the pipe has room. When it has none, lines wait in a bounded backlog that a
thread writes, for as long as there is one; what does not fit is dropped and counted, and the count is told
as soon as the reader is back.
"""

import contextlib
import os
import select
import threading
from collections import deque
from typing import Final

ATOMIC_BYTES: Final = select.PIPE_BUF
"""A pipe that polls as writable takes this much without blocking."""

MAX_BACKLOG_BYTES: Final = 1_048_576

_CLOSE_WAIT_S: Final = 1.0


class LogOutput:
    """A file descriptor that is written to without waiting for its reader."""

    def __init__(self, descriptor: int, max_backlog_bytes: int = MAX_BACKLOG_BYTES) -> None:
        self._descriptor = descriptor
        self._max_backlog_bytes = max_backlog_bytes
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._lock = threading.Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._dropped = 0
        self._drainer: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Write one line, now or as soon as the reader takes it.

        Raises:
            OSError: the reader is gone, or the disk under the file is full.
        """
        # Libraries log from threads of their own, and a poll in two threads at once is an error.
        with self._lock:
            if self._drainer is None and len(line) <= ATOMIC_BYTES and self._poll.poll(0):
                os.write(self._descriptor, line)
                return
            self._append(line)
            if self._drainer is None:
                self._drainer = threading.Thread(target=self._drain, name="log backlog", daemon=True)
                self._drainer.start()

    def close(self) -> None:
        """Give the backlog a moment to go out."""
        drainer = self._drainer
        if drainer is not None:
            drainer.join(_CLOSE_WAIT_S)

    def _append(self, line: bytes) -> None:
        if self._backlog_bytes + len(line) > self._max_backlog_bytes:
            self._dropped += 1
            return
        self._backlog.append(line)
        self._backlog_bytes += len(line)

    def _drain(self) -> None:
        while chunk := self._next():
            # A reader that went away for good must not keep the thread: its lines are lost anyway.
            with contextlib.suppress(OSError):
                _write_all(self._descriptor, chunk)

    def _next(self) -> bytes:
        """Return what to write next; with nothing left the thread is over, in the same locked moment."""
        with self._lock:
            chunk = b"".join(self._backlog)
            self._backlog.clear()
            self._backlog_bytes = 0
            if self._dropped:
                chunk += b'{"level":"error","event":"log lines dropped","lines":%d}\n' % self._dropped
                self._dropped = 0
            if not chunk:
                self._drainer = None
            return chunk


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
