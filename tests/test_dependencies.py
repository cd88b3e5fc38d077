import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = {
    "The service": ("pyproject.toml", "project", "dependencies"),
    "Traces": ("pyproject.toml", "project", "optional-dependencies.otel"),
    "The message contract, `tms-events`": ("schemas/pyproject.toml", "project", "dependencies"),
    "Development": ("pyproject.toml", "dependency-groups", "dev"),
    "Site": ("pyproject.toml", "dependency-groups", "site"),
    "Audit": ("pyproject.toml", "dependency-groups", "audit"),
    "Bill of materials": ("pyproject.toml", "dependency-groups", "sbom"),
    "Fuzzing": ("pyproject.toml", "dependency-groups", "fuzz"),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_dependency_has_its_reason(section: str) -> None:
    file, table, key = SECTIONS[section]
    wanted = tomllib.loads((ROOT / file).read_text())[table]
    for part in key.split("."):
        wanted = wanted[part]
    _, _, page = (ROOT / "docs" / "dependencies.md").read_text().partition(f"\n## {section}\n")
    rows = re.findall(r"^\| ([\w-]+) \| \S", page.partition("\n## ")[0], re.MULTILINE)
    assert [re.split(r"[\[<>=; ]", line)[0] for line in wanted] == [
        row for row in rows if row not in {"package", "---"}
    ]
