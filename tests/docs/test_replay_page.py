"""Every command of the page on replays, run in its order against a real archive."""

import re
import secrets
import shlex
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.cli.archived import declare, fill, numbers, spread, taken
from tests.cli.conftest import CONFIG, QUEUE

from rabbitmq import Node
from tms_bridge.cli.program import program
from tms_bridge.message import Message

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def commands(start: str) -> list[list[str]]:
    return [words[1:] for block in blocks("sh") if (words := shlex.split(block))[0] == start]


def of_today() -> list[Message]:
    """Return 120 events of the last twelve hours."""
    began = datetime.now(UTC) - timedelta(hours=12)
    return spread(120, hours=12, entities=12, began=began)


@pytest.fixture
def page_config(tmp_path: Path, vhost: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration that the page speaks of, in the place where a command looks for it."""
    text = CONFIG.format(directory=tmp_path, port=1, admin_port=2)
    text = re.sub(r"urls = .*", lambda _: f'urls = ["{vhost}"]', text)
    path = tmp_path / "tms-bridge.toml"
    path.write_text(text.replace("[outbox]", QUEUE + blocks("toml")[0] + "[outbox]"))
    monkeypatch.chdir(tmp_path)
    return path


def run(words: list[str]) -> Result:
    return CliRunner().invoke(program, words, catch_exceptions=False)


def test_the_configuration_is_one(page_config: Path) -> None:
    assert "14d" == tomllib.loads(page_config.read_text())["amqp"]["archive"]["max_age"]


def test_both_tasks_end_with_the_events_in_the_queue(page_config: Path, vhost: str) -> None:
    assert page_config.exists()
    apply, *others = [words for words in commands("tms-bridge") if words[0] != "tail"]
    assert ["topology", "apply"] == apply
    assert 0 == run(apply).exit_code
    fill(vhost, of_today(), max_age="14d")
    assert 60 == len(taken(vhost, "crm"))
    declare(vhost, "rooms")
    told = {" ".join(words): run(words) for words in others}
    assert {0} == {result.exit_code for result in told.values()}
    assert [number for number in range(120) if number % 2] == numbers(taken(vhost, "crm"))
    rooms = numbers(taken(vhost, "rooms"))
    assert [number for number in range(120) if number % 2] == rooms[:60]
    assert [number for number in range(120) if number % 12 == 7] == rooms[60:]
    said = "".join(result.stdout for result in told.values())
    assert "crm takes 60 of 120 events; to get the others, bind it to tms.course_assignment.started" in said


def test_a_user_with_the_rights_that_it_names_can_replay(
    page_config: Path, vhost: str, rabbitmq: Node
) -> None:
    run(["topology", "apply"])
    fill(vhost, of_today(), max_age="14d")
    declare(vhost, "rooms")
    ((deed, user, *rights),) = commands("rabbitmqctl")
    password = secrets.token_hex(8)
    rabbitmq.ctl("add_user", user, password)
    try:
        rabbitmq.ctl(deed, "--vhost", vhost.rpartition("/")[2], user, *rights)
        as_user = re.sub(r"//.*?@", f"//{user}:{password}@", vhost)
        page_config.write_text(page_config.read_text().replace(vhost, as_user))
        assert 0 == run(["replay", "--since", "7d", "--to", "rooms"]).exit_code
        assert 120 == len(taken(vhost, "rooms"))
    finally:
        rabbitmq.ctl("delete_user", user)


def test_events_are_kept_as_the_page_tells(page_config: Path, vhost: str) -> None:
    run(["topology", "apply"])
    (tail,) = [words for words in commands("tms-bridge") if words[0] == "tail"]
    process = subprocess.Popen([sys.executable, "-m", "tms_bridge", *tail], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "listening" in process.stderr.readline()
    fill(vhost, of_today(), max_age="14d")
    process.communicate(timeout=60)
    kept = sorted((page_config.parent / "events").iterdir())
    assert (0, ["id-1.json", "id-3.json", "id-5.json"]) == (process.returncode, [path.name for path in kept])
