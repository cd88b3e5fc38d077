"""`make fuzz`: hostile input for everything that strangers and operators hand to the bridge.

python -m tests.fuzz --count 100000 --seconds 60 decoder http
"""

import argparse
import asyncio
import importlib.util
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
from tests.fuzz import listener
from tests.fuzz.api import can_follow_description, follow_description, fuzz_api
from tests.fuzz.runner import Run
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import TARGETS

HTTP, API = "http", "api"
_NEW = Path("build") / "fuzz-corpus"
_STARTS = 200
_CALLS_S = 400
"""Calls of the admin API that a second is surely enough for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz and tell; 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, HTTP, API, []], help="default: all of them")
    parser.add_argument("--count", type=int, default=0, help="inputs for each target")
    parser.add_argument("--seconds", type=float, default=0.0, help="time for each target")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # what was done so far is told
        signal.signal(number, signal.default_int_handler)
    count = options.count or sys.maxsize
    seconds = options.seconds or (math.inf if options.count else 60.0)
    well = [_fuzz(name, count, seconds, options.seed) for name in options.targets or [*TARGETS, HTTP, API]]
    return 0 if all(well) else 1


def _fuzz(name: str, count: int, seconds: float, seed: int) -> bool:
    if name == HTTP:
        account = uvloop.run(listener.run(count, seconds, seed))
        say(account, account.findings)
        return not account.findings
    if name == API:
        calls = min(count, int(min(seconds, 1e6) * _CALLS_S))
        say(fuzz_api(calls, seed), [])
        return (
            not can_follow_description() or asyncio.run(follow_description(max(calls // 400, 5), seed)) == 0
        )
    report = Run(TARGETS[name], seed).go(count, seconds)
    say(report, report.findings)
    return not report.findings and _guide(TARGETS[name], count, seconds)


def _guide(target: Target, count: int, seconds: float) -> bool:
    """Let atheris go on from what is kept, where it is installed, for a third of the time."""
    if importlib.util.find_spec("atheris") is None:
        return True
    found = _NEW / target.name
    found.mkdir(parents=True, exist_ok=True)
    for number in range(_STARTS):  # it finds ways that branch off from these
        (found / f"made-{number}").write_bytes(target.make(random.Random(number)))
    limits = [f"-runs={count // 10}", f"-max_total_time={int(min(seconds / 3, 600))}", "-timeout=20"]
    kept = [str(CORPUS / target.name)] if (CORPUS / target.name).is_dir() else []
    artifacts = f"-artifact_prefix={found}-"
    command = (sys.executable, "-m", "tests.fuzz.guided", target.name, str(found), *kept, *limits, artifacts)
    return (
        subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )


def say(what: object, findings: Sequence[str]) -> None:
    """Tell the person who waits."""
    sys.stdout.write("".join(f"{line}\n" for line in (what, *findings)))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
