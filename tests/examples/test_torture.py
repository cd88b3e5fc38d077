"""`tms-events torture` finds what is wrong with consumers, and nothing with the examples."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rabbitmq import Node
from tms_events.torture.run import Plan, Verdict, torture

from .day import EXAMPLES
from .environments import interpreter
from .faulty import FAULTS
from .test_consumers import CONSUMERS

AT_ONCE = 2
SEED = 1

pytestmark = pytest.mark.long

Torture = Callable[..., Awaitable[Verdict]]


@pytest.fixture
def tortured(rabbitmq: Node, tmp_path: Path) -> Torture:
    """Torture a program in a virtual host and with a table of its own, two at once."""
    free = asyncio.Semaphore(AT_ONCE)

    async def run(python: str, program: Path, *ordeals: str) -> Verdict:
        async with free:
            name = f"torture-{secrets.token_hex(4)}"
            plan = Plan(
                command=["env", f"DATABASE={tmp_path / name}.db", python, str(program)],
                url=rabbitmq.add_vhost(name),
                seed=SEED,
                ordeals=ordeals,
            )
            try:
                return await torture(plan)
            finally:
                rabbitmq.delete_vhost(name)

    return run


async def test_every_planted_fault_is_found(tortured: Torture, tmp_path: Path) -> None:
    async def found(name: str) -> tuple[str, str]:
        fault, directory = FAULTS[name], tmp_path / name
        directory.mkdir()
        verdict = await tortured(interpreter("consumer.py"), fault.plant(directory), fault.ordeal)
        findings = {(one.kind, one.ordeal) for one in verdict.findings}
        return next((one for one in findings if one == (fault.kind, fault.ordeal)), ("", str(findings)))

    verdicts = await asyncio.gather(*map(found, FAULTS))
    expected = {name: (fault.kind, fault.ordeal) for name, fault in FAULTS.items()}
    assert expected == dict(zip(FAULTS, verdicts, strict=True))


async def test_nothing_is_found_with_the_examples(tortured: Torture) -> None:
    names = [*CONSUMERS, "stream_history.py"]
    verdicts = await asyncio.gather(*(tortured(interpreter(name), EXAMPLES / name) for name in names))
    assert {name: [] for name in names} == {
        name: verdict.findings for name, verdict in zip(names, verdicts, strict=True)
    }
    assert {13} == {len(verdict.ordeals) for verdict in verdicts}
