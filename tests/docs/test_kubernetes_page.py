"""What the page about Kubernetes says, against the files that it is about."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from checks.combinations import components

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
KUSTOMIZE = ROOT / "deploy" / "kustomize"


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line]


def test_every_component_stands_in_the_table() -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \|", PAGE.partition("| component |")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert list(components(KUSTOMIZE)) == sorted(rows)


def test_the_secret_has_the_keys_that_the_copied_configuration_names() -> None:
    (create,) = (command for command in commands() if "secret generic" in command)
    made = re.findall(r"--from-literal=([\w-]+)=", create)
    toml = (KUSTOMIZE / "overlays" / "production" / "tms-bridge.toml").read_text()
    assert set(re.findall(r"/run/secrets/tms-bridge/([\w-]+)", toml)) == set(made)


@pytest.mark.parametrize("command", [each for each in commands() if "exec" in each])
def test_what_is_run_in_a_pod_is_a_command_of_ours(command: str) -> None:
    words = shlex.split(command.partition(" -- ")[2])
    assert "tms-bridge" == words[0]
    name = [word for word in words[1:3] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("--")]
    done = subprocess.run(
        [sys.executable, "-m", "tms_bridge", *name, "--help"], capture_output=True, check=False
    )
    assert 0 == done.returncode
    for option in [word for word in words if word.startswith("--")]:
        assert option.encode() in done.stdout


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith(("cp", "make"))])
def test_what_is_run_on_a_checkout_runs_on_what_is_there(command: str) -> None:
    program, *words = shlex.split(command)
    if program == "cp":
        assert (ROOT / words[1] / "kustomization.yaml").is_file()
    else:
        assert f"\n{words[0]}:" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith("kubectl")])
def test_every_kubectl_command_is_one_that_kubectl_takes(command: str) -> None:
    words = shlex.split(re.sub(r'"\$\(.*?\)"', "value", command).partition(" -- ")[0])
    rest = words[3:] if words[1] == "--namespace" else words[1:]
    kubectl = Path(sys.executable).with_name("kubectl")
    verbs = (
        rest[:3]
        if rest[0] == "create" and rest[1] == "secret"
        else rest[: 2 if rest[0] in {"create", "rollout"} else 1]
    )
    done = subprocess.run([kubectl, *verbs, "--help"], capture_output=True, text=True, check=False)
    assert 0 == done.returncode
    for option in [word.partition("=")[0] for word in rest if word.startswith("--")]:
        assert re.search(rf"{option}\b", done.stdout), f"{' '.join(verbs)} has no {option}"
