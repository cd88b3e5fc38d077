"""What is said of packages that are shipped."""

import json
import sys
from pathlib import Path

import pytest
import yaml

import sbom

ROOT = Path(__file__).resolve().parents[2]


def component(name: str, *licences: dict[str, object]) -> dict[str, object]:
    return {"name": name, "version": "1.0", "licenses": list(licences)}


MIT = component("a", {"license": {"id": "MIT"}})
EITHER = component(
    "b",
    {"expression": "Apache-2.0 OR MIT"},
    {"license": {"name": "License :: OSI Approved :: Apache Software License"}},
)
GPL = component("c", {"license": {"id": "GPL-3.0-only"}})
BOTH = component("d", {"expression": "MIT AND GPL-3.0-only"})
SILENT = component("e")


def test_only_what_asks_for_no_more_than_its_text_is_shipped() -> None:
    expected = ["c 1.0: GPL-3.0-only", "d 1.0: MIT AND GPL-3.0-only", "e 1.0: says nothing of its licence"]

    assert expected == list(sbom.wrong([MIT, EITHER, GPL, BOTH, SILENT]))


def test_every_package_has_a_row_with_its_licence() -> None:
    assert ["| a | 1.0 | MIT |", "| b | 1.0 | Apache-2.0 OR MIT, Apache Software License |"] == sbom.table(
        [EITHER, MIT]
    ).splitlines()[2:]


@pytest.mark.parametrize(
    ("vulns", "known"),
    [
        ("[]", []),
        ('[{"id": "CVE-1", "fix_versions": ["2"]}]', ["a 1: CVE-1, mended in ['2']"]),
        ('[{"id": "CVE-1", "fix_versions": []}]', ["a 1: CVE-1, mended in no version"]),
    ],
)
def test_a_known_weakness_is_told_with_what_mends_it(vulns: str, known: list[str]) -> None:
    report = f'{{"dependencies": [{{"name": "a", "version": 1, "vulns": {vulns}}}, {{"name": "b"}}]}}'

    assert known == sbom.weaknesses(report)


@pytest.mark.parametrize(("said", "code"), [("", 0), ('{"dependencies": []}', 0)])
def test_who_cannot_look_weaknesses_up_says_so_and_passes(
    said: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "pip-audit"
    audit.write_text(f"#!/bin/sh\necho '{said}'\necho 'no route to host' >&2\nexit 1\n")
    audit.chmod(0o755)
    (tmp_path / "tms-bridge.cdx.json").write_text(json.dumps({"components": [MIT]}))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    assert code == sbom.main(tmp_path)
    assert ("PyPI does not answer: no route to host" in capsys.readouterr().out) == (not said)


def test_what_asks_for_newer_versions_looks_at_every_lock() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    looked = {(one["package-ecosystem"], place) for one in updates for place in one["directories"]}
    skipped = {".venv", "build", "node_modules"}
    names = {"uv.lock": "uv", "package-lock.json": "npm", "Dockerfile": "docker"}
    held = {
        (names[path.name], f"/{path.parent.relative_to(ROOT)}".removesuffix("."))
        for path in ROOT.rglob("*")
        if path.name in names and not skipped & set(path.relative_to(ROOT).parts)
    }

    assert looked == held | {("github-actions", "/")}
