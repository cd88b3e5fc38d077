"""What the tools of others make of the contract: Ajv, the parser of AsyncAPI, TypeScript, a Node consumer."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest
from tests.examples.day import EXAMPLES, Consumer, Sender, State, bad_day
from tests.waiting import PATIENCE_S

from bridge import Bridge
from tms_events import EVERYTHING, EXCHANGE, TOPICS
from tms_events.torture.run import Plan, torture

HERE = Path(__file__).parent
SCHEMAS = HERE.parents[1] / "schemas"


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the tools, and with the package that `npm pack` makes of the contract."""
    directory = tmp_path_factory.mktemp("npm")
    for path in HERE.iterdir():
        if path.suffix in {".json", ".mjs", ".ts"}:
            shutil.copy(path, directory)
    packed = run("npm", "pack", "--silent", SCHEMAS, cwd=directory).stdout.strip()
    done = run("npm", "install", "--silent", "--no-audit", directory / packed, cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture
async def bridge(vhost: str) -> AsyncIterator[Bridge]:
    with Bridge(vhost) as running:
        yield running


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    directory = tmp_path / "simulated"
    directory.mkdir()
    return directory


async def test_what_a_bridge_sends_for_all_pairs_fits_for_two_validators(
    tools: Path, simulated: Path, vhost: str, bridge: Bridge
) -> None:
    union = jsonschema.Draft202012Validator(
        json.loads((SCHEMAS / "event.json").read_text()), format_checker=jsonschema.FormatChecker()
    )
    async with await aio_pika.connect(vhost) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("all", durable=True)
        await queue.bind(EXCHANGE, EVERYTHING)
        header = f"Authorization={bridge.authorization}"
        for more in (["--every-status"], ["--count", "200"]):
            command = bridge.command(
                "simulate", "--url", bridge.url, "--source", "contoso", "--header", header, *more
            )
            done = await asyncio.to_thread(run, *command, cwd=simulated)
            assert done.returncode == 0, done.stderr
        keys = set()
        async with queue.iterator(no_ack=True, timeout=PATIENCE_S) as messages:
            for number in range(212):
                message = await anext(messages)
                body = json.loads(message.body)
                assert [] == list(union.iter_errors(body))
                (simulated / f"{number}.json").write_text(json.dumps({"body": body}))
                keys.add(message.routing_key)
    assert {topic for topic in TOPICS if not topic.endswith("unknown")} <= keys
    done = run("node", "validate.mjs", SCHEMAS, simulated, cwd=tools)
    assert "231 messages and the AsyncAPI document checked, 0 problems\n" == done.stdout, done.stderr


def test_the_types_compile_and_a_wrong_name_does_not(tools: Path) -> None:
    options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022"]
    right = run("npx", "tsc", *options, "right.ts", cwd=tools)
    assert (0, "") == (right.returncode, right.stdout)
    wrong = run("npx", "tsc", *options, "wrong.ts", cwd=tools)
    assert wrong.returncode != 0
    assert "Property 'min_student' does not exist" in wrong.stdout
    assert "Property 'class' does not exist on type 'CourseAssignmentChanged'" in wrong.stdout


class NodeConsumer(Consumer):
    """Keeps its state in a file of JSON."""

    def state(self) -> State:
        """Return each class's last status and how many events were applied to it."""
        if not Path(self.database).exists():
            return {}
        classes = json.loads(Path(self.database).read_text())["classes"]
        return {key: (one["status"], one["changes"]) for key, one in classes.items()}


@pytest.fixture
def node_consumer(tmp_path: Path) -> list[str | Path]:
    """The command that starts the example, built as its readers build it."""
    directory = tmp_path / "examples" / "node"
    shutil.copytree(EXAMPLES / "node", directory, ignore=shutil.ignore_patterns("node_modules", "dist"))
    shutil.copytree(SCHEMAS, tmp_path / "schemas", ignore=shutil.ignore_patterns("released"))
    for command in (["npm", "ci", "--silent", "--no-audit"], ["npm", "run", "build", "--silent"]):
        done = run(*command, cwd=directory)
        assert done.returncode == 0, done.stdout + done.stderr
    return ["node", directory / "dist" / "consumer.js"]


async def test_a_consumer_in_node_survives_a_bad_day(
    node_consumer: list[str | Path], tmp_path: Path, vhost: str, bridge: Bridge
) -> None:
    consumer = NodeConsumer(node_consumer, vhost, str(tmp_path / "crm.json"))
    try:
        await bad_day(consumer, Sender(bridge), bridge, vhost)
    finally:
        await consumer.kill()


async def test_torture_finds_nothing_with_a_consumer_in_node(
    node_consumer: list[str | Path], tmp_path: Path, vhost: str
) -> None:
    database = f"DATABASE={tmp_path / 'crm.json'}"
    command = ["env", database, *map(str, node_consumer)]
    verdict = await torture(Plan(command=command, url=vhost, seed=1))
    assert ([], 13) == (verdict.findings, len(verdict.ordeals))
