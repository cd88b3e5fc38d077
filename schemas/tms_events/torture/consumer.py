"""The consumer under test, as a process of its own that can be killed at any instant."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence

_CHUNK_BYTES = 65536
_LAST_BYTES = 4096


class Consumer:
    """Runs one command, again and again, and reads what it says on standard output."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], hear: Callable[[bytes], None]
    ) -> None:
        self._command, self._hear = command, hear
        # Without it Python keeps lines back while standard output is no terminal.
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._process: asyncio.subprocess.Process | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the consumer
        self._pipe: int | None = None
        self._line = b""

    @property
    def code(self) -> int | None:
        """With which code it ended; None while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Start the command.

        Raises:
            OSError: there is no such program.
        """
        self.listen()
        self._close_pipe()
        self._pipe, said = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=self._errors,
                start_new_session=True,  # what it starts itself is killed with it
            )
        finally:
            os.close(said)

    def listen(self) -> None:
        """Hear the lines that it has written by now, without waiting for more."""
        while self._pipe is not None:
            try:
                data = os.read(self._pipe, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._close_pipe()
                return
            *lines, self._line = (self._line + data).split(b"\n")
            for line in lines:
                self._hear(line)

    async def kill(self) -> None:
        """Kill it, with all that it has started, and hear its last lines."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self.listen()

    async def close(self) -> None:
        """End it for good."""
        await self.kill()
        self._close_pipe()
        self._errors.close()

    def last_words(self) -> str:
        """Return the last line that it wrote to standard error."""
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, end - _LAST_BYTES))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
        self._pipe, self._line = None, b""
