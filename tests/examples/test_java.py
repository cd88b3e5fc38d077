"""The consumer in Java, compiled and started as its line in examples/README.md says."""

import subprocess
from pathlib import Path

import pytest

from bridge import Bridge

from .conftest import Torture
from .day import Consumer, Sender, bad_day, failing_day
from .environments import REPOSITORY

ARGUMENTS = "@examples/java/arguments"


@pytest.fixture(scope="module")
def java() -> list[str | Path]:
    """The command that starts it."""
    compiler = ["javac", ARGUMENTS, "-d", "examples/java/build", "examples/java/Consumer.java"]
    subprocess.run(compiler, cwd=REPOSITORY, check=True, timeout=300)
    return ["env", f"--chdir={REPOSITORY}", "java", ARGUMENTS, "Consumer"]


async def test_a_consumer_in_java_survives_a_bad_day(
    java: list[str | Path], vhost: str, tmp_path: Path
) -> None:
    consumer = Consumer(java, vhost, str(tmp_path / "crm.db"))
    with Bridge(vhost) as bridge:
        tms = Sender(bridge)
        try:
            await bad_day(consumer, tms, bridge, vhost)
            await failing_day(consumer, tms)
        finally:
            await consumer.kill()


async def test_torture_finds_nothing_with_a_consumer_in_java(
    java: list[str | Path], tortured: Torture
) -> None:
    verdict = await tortured(java)
    assert ([], 13) == (verdict.findings, len(verdict.ordeals))
