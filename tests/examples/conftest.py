"""What needs packages or a server that the tests of every day do without is left to `make examples-test`."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from rabbitmq import Node
from tms_events.torture.run import Plan, Verdict, torture

from .environments import OWN

collect_ignore = [] if OWN else ["test_java.py", "test_postgresql.py"]

AT_ONCE = 2
SEED = 1

Torture = Callable[..., Awaitable[Verdict]]


@pytest.fixture
def tortured(rabbitmq: Node, tmp_path: Path) -> Torture:
    """Torture a program in a virtual host and with a table of its own, two at once."""
    free = asyncio.Semaphore(AT_ONCE)

    async def run(
        command: Sequence[str | Path], *ordeals: str, database: str = "", latest: bool = False
    ) -> Verdict:
        async with free:
            name = f"torture-{secrets.token_hex(4)}"
            table = f"DATABASE={database or tmp_path / name}"
            plan = Plan(
                command=["env", table, *map(str, command)],
                url=rabbitmq.add_vhost(name),
                seed=SEED,
                ordeals=ordeals,
                latest=latest,
                # On a busy machine all takes longer, and no verdict hangs on it.
                limit_s=300.0,
                patience_s=30.0,
            )
            try:
                return await torture(plan)
            finally:
                rabbitmq.delete_vhost(name)

    return run
