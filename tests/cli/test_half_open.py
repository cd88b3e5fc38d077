"""Commands that meet something in the broker's place that is none."""

import asyncio
import re
from pathlib import Path

import pytest
from tests.faults.half_open import Manner, half_open

from .conftest import Run

COMMANDS = (
    ("tail",),
    ("topology", "show"),
    ("topology", "apply"),
    ("unroutable", "status"),
    ("unroutable", "replay"),
    ("check", "--online"),
)


@pytest.mark.parametrize("manner", [Manner.CLOSE, Manner.CLOSE_FOR_OPEN_OK, Manner.CLOSE_AFTER_OPEN_OK])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_what_is_no_broker_is_told_without_a_traceback(
    run: Run, config: Path, manner: Manner, command: tuple[str, ...]
) -> None:
    async with half_open(manner) as port:
        url = f'urls = ["amqp://guest:guest@127.0.0.1:{port}/"]'
        config.write_text(re.sub(r"urls = .*", url, config.read_text()))  # noqa: ASYNC240 - nobody waits
        ended = await asyncio.to_thread(run, *command, "--config", config)
    assert 1 == ended.returncode
    assert ended.stdout + ended.stderr != ""
    assert "Traceback" not in ended.stderr
    assert "object at 0x" not in ended.stdout + ended.stderr
