"""What holds for every run of these tests, whatever runs in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CLOCK = r"(monotonic|perf_counter|\btime)\(\)"
HURRIES = re.compile(
    rf"asyncio\.timeout\((?!0\))\d\d?[.)]|assert .*{CLOCK}.* < [\d.]|assert .*< {CLOCK} [+-] [\d.]"
)
"""A time limit, or an assertion, by which a busy machine would fail."""


def run(directory: Path, test: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run one test under the conftest of this folder, and nothing else of this project."""
    (directory / "test_it.py").write_text(f"import pytest\n\ndef test_it() -> None:\n    {test}\n")
    paths = os.pathsep.join(str(ROOT / path) for path in (".", "tests", "deploy/local"))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "--rootdir", directory, *arguments, directory],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skipped_test_fails_the_run_and_is_named(workers: str, tmp_path: Path) -> None:
    ran = run(tmp_path, "pytest.skip('the machine lacks it')", "-n", workers, "-ra")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    assert "SKIPPED [1] test_it.py:4: the machine lacks it" in ran.stdout


def test_no_test_hurries_the_machine() -> None:
    """Whoever waits takes `patience` or `until` of tests.waiting."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if HURRIES.search(line)
    ]
    assert [] == found
