"""A program that runs beside us: started, waited for, stopped or killed, and gone with its starter."""

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from janitor import Janitor

_LOOK_EVERY_S = 0.02
_TAIL_LINES = 20


class ProgramFailedError(Exception):
    """A program did not do what was asked; the text ends with the tail of its log."""


class Lifetime(ABC):
    """What is started and closed; as a context manager, what fails to start leaves nothing."""

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it is ready."""

    @abstractmethod
    def close(self) -> None:
        """End it at once, and remove what it made."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Program(Lifetime):
    """One program; use it as a context manager, or call `start` and `close`.

    Attributes:
        title: what errors call it.
        failure: what it raises.
    """

    title: ClassVar[str]
    failure: ClassVar[type[ProgramFailedError]] = ProgramFailedError

    def __init__(self, janitor: Janitor) -> None:
        self._janitor = janitor
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started, and has not ended since."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._started().pid

    @property
    @abstractmethod
    def log(self) -> str:
        """Everything that it has logged, over all its starts."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether it does its work now."""

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.splitlines()[-_TAIL_LINES:])

    def wait_ready(self, *, timeout_s: float) -> None:
        """Wait until it is ready."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if (code := self._started().poll()) is not None:
                raise self._failed(f"ended with exit code {code} before it was ready")
            if time.monotonic() > deadline:
                raise self._failed(f"was not ready within {timeout_s:g} s")
            time.sleep(_LOOK_EVERY_S)

    def wait(self, *, timeout_s: float = 30.0) -> int:
        """Wait until it has ended, for whatever reason, and return its exit code."""
        process = self._started()
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not end within {timeout_s:g} s") from None
        self._janitor.forget(process)
        self._process = None
        return code

    def terminate(self) -> None:
        """Ask it to stop in order (SIGTERM), and do not wait."""
        self.send_signal(signal.SIGTERM)

    def stop(self, *, timeout_s: float = 30.0) -> int:
        """Stop it in order and return its exit code; its data stay for the next `start`."""
        self.terminate()
        return self.wait(timeout_s=timeout_s)

    def kill(self) -> None:
        """Kill it as a crash would (SIGKILL); its data stay for the next `start`."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        self._started().send_signal(number)

    def close(self) -> None:
        """End it at once if it runs, and remove its directory."""
        self._janitor.clean()
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise self.failure(f"{self.title} is not running; call start first")
        return self._process

    def _failed(self, what: str) -> ProgramFailedError:
        return self.failure(f"{self.title} {what}:\n{self.tail()}")
