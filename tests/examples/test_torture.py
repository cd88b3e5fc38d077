"""`tms-events torture` finds what is wrong with consumers, and nothing with the examples."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from .conftest import Torture
from .day import EXAMPLES
from .environments import interpreter
from .faulty import FAULTS
from .test_consumers import CONSUMERS

pytestmark = pytest.mark.long


async def test_every_planted_fault_is_found(tortured: Torture, tmp_path: Path) -> None:
    async def found(name: str) -> tuple[str, str]:
        fault, directory = FAULTS[name], tmp_path / name
        directory.mkdir()
        command = [interpreter("consumer.py"), fault.plant(directory)]
        verdict = await tortured(command, fault.ordeal)
        findings = {(one.kind, one.ordeal) for one in verdict.findings}
        # An acknowledgement may overtake the work in any ordeal, and a kill between makes a loss of it.
        early = fault.kind == "acked-early" and {kind for kind, _ in findings} & {"acked-early", "lost"}
        is_found = early or (fault.kind, fault.ordeal) in findings
        return (fault.kind, fault.ordeal) if is_found else ("", str(findings))

    verdicts = await asyncio.gather(*map(found, FAULTS))
    expected = {name: (fault.kind, fault.ordeal) for name, fault in FAULTS.items()}
    assert expected == dict(zip(FAULTS, verdicts, strict=True))


async def test_nothing_is_found_with_the_examples(tortured: Torture) -> None:
    names = [*CONSUMERS, "stream_history.py"]
    verdicts = await asyncio.gather(*(tortured([interpreter(name), EXAMPLES / name]) for name in names))
    assert {name: [] for name in names} == {
        name: verdict.findings for name, verdict in zip(names, verdicts, strict=True)
    }
    assert {13} == {len(verdict.ordeals) for verdict in verdicts}


async def test_newest_is_right_where_only_the_latest_state_counts(tortured: Torture, tmp_path: Path) -> None:
    program = FAULTS["asks Newest before it acts"].plant(tmp_path)
    verdict = await tortured([interpreter("consumer.py"), program], latest=True)
    assert [] == verdict.findings


async def command(url: str, database: Path, program: Path, *options: str) -> tuple[int | None, str]:
    words = [sys.executable, "-m", "tms_events", "torture", *options, "--", sys.executable, str(program)]
    process = await asyncio.create_subprocess_exec(
        *words,
        env={**os.environ, "AMQP_URL": url, "DATABASE": str(database)},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_the_command_says_what_to_do_and_the_same_virtual_host_serves_again(
    vhost: str, tmp_path: Path
) -> None:
    fault, table = FAULTS["asks Newest before it acts"], tmp_path / "crm.db"
    code, said = await command(vhost, table, fault.plant(tmp_path), "--seed", "5", "--only", "late")
    assert (1, True) == (code, "lost in late:" in said), said
    assert "handles it all the same: look for its id in an inbox" in said
    assert "--seed 5 does it again" in said

    code, said = await command(vhost, table, EXAMPLES / "consumer.py", "--json", "--only", "late")
    verdict = json.loads(said)
    assert (0, True, ["every-topic", "late"]) == (
        code,
        verdict["passed"],
        [ordeal["name"] for ordeal in verdict["ordeals"]],
    )
