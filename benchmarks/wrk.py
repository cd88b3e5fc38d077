"""Load at saturation: wrk, which keeps every connection busy."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

_SCRIPT = Path(__file__).with_name("load") / "webhooks.lua"
_ANSWER_WITHIN_S = 8


class LoadFailedError(Exception):
    """The load did not run, or was not answered as it must be."""


@dataclass(frozen=True)
class Target:
    """Where the load goes, and with what.

    Attributes:
        envelope: each body is wrapped as RabbitMQ's own HTTP API wants it.
    """

    port: int
    path: str = "/webhooks/contoso/class-changed"
    authorization: str = "none"
    envelope: bool = False


@dataclass(frozen=True)
class Load:
    """What one run of load measured.

    Attributes:
        late_ms: the 99th percentile of the generator's own lateness; 0 where it does not keep a schedule.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    refused: int = 0
    broken: int = 0
    late_ms: float = 0.0

    FIELDS: ClassVar = ("requests", "seconds", "p50_ms", "p99_ms", "p999_ms", "refused", "broken")

    @property
    def per_second(self) -> float:
        """Answers per second, accepted ones alone."""
        return (self.requests - self.refused) / self.seconds


def saturate(  # noqa: PLR0913 - what is varied
    target: Target,
    seconds: float,
    *,
    connections: int = 64,
    body_bytes: int = 550,
    entities: int = 10_000,
    differing: bool = False,
) -> Load:
    """Send as much as is answered; with `differing`, under a head that differs each time, as proxies make it.

    Raises:
        LoadFailedError: wrk did not run.
    """
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        f"--timeout={_ANSWER_WITHIN_S}s",
    ]
    command += [f"-s{_SCRIPT}", f"http://127.0.0.1:{target.port}", "--", target.path, target.authorization]
    command += [str(body_bytes), str(entities), "envelope" if target.envelope else "plain"]
    command += ["differing" if differing else "one"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise LoadFailedError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    found = json.loads(lines[0].removeprefix("RESULT "))
    return Load(**{name: found[name] for name in Load.FIELDS})
