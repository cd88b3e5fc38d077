"""What the page about Kubernetes says, against the files that it is about."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from checks.combinations import FILLED_IN, PLACEHOLDER, components
from checks.kubernetes import judge_overlay
from checks.schemas import Schemas

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


def test_who_copies_and_fills_in_as_the_page_says_has_an_overlay_that_passes(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("local"))
    (copy,) = (command for command in commands() if command.startswith("cp"))
    subprocess.run(shlex.split(copy), cwd=tmp_path, check=True)
    mine = tmp_path / shlex.split(copy)[-1]
    before = [each for each in judge_overlay("mine", mine, Schemas(None)) if each.complaints]
    toml = mine / "tms-bridge.toml"
    toml.write_text(toml.read_text().replace(PLACEHOLDER, FILLED_IN))
    assert 1 == len(before)
    assert [] == [each for each in judge_overlay("mine", mine, Schemas(None)) if each.complaints]


@pytest.mark.parametrize("command", [each for each in commands() if " create " in each])
def test_what_the_page_creates_is_something_that_kubectl_makes(command: str, tmp_path: Path) -> None:
    kubectl = Path(sys.executable).with_name("kubectl")
    authority = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout privkey.pem -out fullchain.pem"
    subprocess.run(authority.split(), cwd=tmp_path, check=True, capture_output=True)
    dry = f"{kubectl}{command.removeprefix('kubectl')} --dry-run=client --output=yaml"
    done = subprocess.run(["/bin/sh", "-c", dry], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert yaml.safe_load(done.stdout)["kind"] in {"Namespace", "Secret"}


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
