"""Alive, started, ready: what the probes of both listeners answer."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tms_bridge.http.answer import Answer

Check = Callable[[], str | None]
"""Returns why the service is not ready, or None."""

PROBES: Final = ("/livez", "/readyz", "/startupz")


class _Probe(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a probe's answer."""

    status: str
    reasons: list[str] = []


class Health:
    """The state of this process as its owner sets it, and the checks that readiness asks each time."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks
        self.started = False
        self.stopping = False

    def reasons(self) -> list[str]:
        """Return why no webhook should be sent here now; empty when ready."""
        if not self.started:
            return ["starting"]
        stopping = ["shutting down"] if self.stopping else []
        return stopping + [reason for check in self._checks if (reason := check())]

    def probe(self, path: str) -> Answer:
        """Answer one of PROBES; liveness knows nothing of broker or disk, since a restart mends neither."""
        if path == "/livez":
            return _answer(200, _Probe("live"))
        if path == "/startupz":
            return _answer(200, _Probe("started")) if self.started else _answer(503, _Probe("starting"))
        reasons = self.reasons()
        return _answer(503, _Probe("not ready", reasons)) if reasons else _answer(200, _Probe("ready"))


def _answer(status: int, probe: _Probe) -> Answer:
    return Answer(status, msgspec.json.encode(probe), headers={"Cache-Control": "no-store"})
