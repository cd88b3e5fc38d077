"""The admin API of a bridge that runs: calls and lines that nobody would think of, and its own description.

schemathesis makes calls of the OpenAPI document, right ones and wrong ones, and holds each answer to it.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.admin.fuzz import run
from tests.admin.live import live_bridge

_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_NOT = "stream$|unroutable"
"""What goes on for ever, and what needs a broker; the lines of an import are fuzzed by `tests.admin.fuzz`."""


def fuzz_api(count: int, seed: int) -> str:
    """Make so many calls and send as many lines; return what was answered, counted."""
    with tempfile.TemporaryDirectory(prefix="tms-fuzz-") as directory:
        answers = asyncio.run(run(Path(directory), count, seed))
    told = ", ".join(f"{times:,} x {status}" for status, times in sorted(answers.items()))
    return f"api: {answers.total():,} calls, seed {seed}: {told}"


def can_follow_description() -> bool:
    """Return whether schemathesis is installed, as in the environment of `make fuzz`."""
    return _schemathesis() is not None


def _schemathesis() -> str | None:
    return shutil.which("schemathesis", path=str(Path(sys.executable).parent))


async def follow_description(examples: int, seed: int) -> int:
    """Let schemathesis call every operation; return its exit code: 0 where each answer is as described."""
    with tempfile.TemporaryDirectory(prefix="tms-fuzz-") as directory:
        async with live_bridge(Path(directory)) as bridge:
            for number in range(20):
                await bridge.webhook(number)
            url = f"http://127.0.0.1:{bridge.admin}/api/v1/openapi.json"
            process = await asyncio.create_subprocess_exec(
                *(_schemathesis() or "schemathesis", "run", url, "--checks", _CHECKS, "--no-color"),
                *("--max-examples", str(examples), "--seed", str(seed), "--exclude-path-regex", _NOT),
                *("--exclude-name", "POST /api/v1/outbox"),
                *("--phases", "examples,coverage,fuzzing", "--request-timeout", "20"),
                stderr=subprocess.STDOUT,
            )
            code = await process.wait()
            if not bridge.alive or bridge.defects():
                return 1
    return code
