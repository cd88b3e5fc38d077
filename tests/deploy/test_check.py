import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "check.py"


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.long
def test_everything_in_deploy_is_as_it_should_be() -> None:
    done = check()
    assert (0, "") == (done.returncode, done.stderr)
    assert "everything in deploy/ is as it should be" == done.stdout.splitlines()[-1]
    assert all(line.startswith(("ok    ", "note  ")) for line in done.stdout.splitlines()[:-1])


def test_a_failed_check_says_what_is_wrong_and_exits_1(checkout: Path) -> None:
    compose = checkout / "deploy" / "compose.yaml"
    compose.write_text(compose.read_text().replace("stop_grace_period: 45s", "stop_grace_period: 5s"))
    done = check("--root", checkout)
    assert 1 == done.returncode
    lines = done.stdout.splitlines()
    at = lines.index("WRONG compose: the grace period outlasts delay, last requests and drain")
    assert "      5 s, and delay, last requests and drain may take 30 s" == lines[at + 1]
    assert "1 of the checks failed" == lines[-1]


def test_a_directory_of_definitions_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = check("--crds", tmp_path / "missing")
    assert 2 == done.returncode
    assert f"{tmp_path / 'missing'} is no directory" in done.stderr


@pytest.mark.parametrize("variable", ["CRD_DIR"])
def test_the_directory_may_come_from_the_environment(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "missing"))
    assert 2 == check().returncode
