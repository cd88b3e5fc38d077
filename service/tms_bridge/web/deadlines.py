"""Time limits of many waits with one timer.

`asyncio.timeout` would start and stop a timer for each webhook, though next to none ever goes off.
"""

import asyncio
from types import TracebackType
from typing import Final, Protocol

_NEVER: Final = float("inf")
_MARGIN: Final = 0.05
"""Of a deadline: what it takes to say that it has passed."""

TOO_LATE: Final = "The event could not be made durable within http.deadline_s; try again."


class Timed(Protocol):
    """Something with a time limit."""

    @property
    def moment(self) -> float:
        """When it is over, on the event loop's clock."""
        ...

    def expire(self) -> None:
        """Be told that it is over."""
        ...


class Deadlines:
    """The waits that have a limit just now; `until` makes one."""

    def __init__(self, deadline_s: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._patience_s = deadline_s * (1 - _MARGIN)
        self._waits: set[Timed] = set()
        self._due = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def next(self) -> float:
        """Return when it is too late for what begins now, on the event loop's clock."""
        return self.loop.time() + self._patience_s

    def until(self, moment: float) -> "Wait":
        """Return a context that ends with TimeoutError at a moment of the event loop's clock."""
        return Wait(self, moment)

    def add(self, wait: Timed) -> None:
        """Watch a wait."""
        self._waits.add(wait)
        if wait.moment < self._due:
            self._set(wait.moment)

    def discard(self, wait: Timed) -> None:
        """Watch it no more; the timer stays, for the next one needs it."""
        self._waits.discard(wait)

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = moment
        self._timer = self.loop.call_at(moment, self._expire)

    def _expire(self) -> None:
        self._timer, self._due = None, _NEVER
        now = self.loop.time()
        for wait in [wait for wait in self._waits if wait.moment <= now]:
            self._waits.discard(wait)
            wait.expire()
        if self._waits:
            self._set(min(wait.moment for wait in self._waits))


class Wait:
    """One wait, as `asyncio.timeout` does it: the task is cancelled, and that becomes TimeoutError."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "moment")

    _task: "asyncio.Task[object]"

    def __init__(self, deadlines: Deadlines, moment: float) -> None:
        self._deadlines = deadlines
        self.moment = moment
        self._expired = False
        self._cancelling = 0

    def expire(self) -> None:
        """Its moment has come."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task(self._deadlines.loop)
        if task is None:
            raise RuntimeError("only a task can be kept to a deadline")
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.discard(self)
        if not self._expired:
            return
        # Whoever else cancelled the task too still gets its cancellation.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
