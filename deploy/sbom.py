"""What is shipped besides our own code: its licences, and what is known against it.

    python deploy/sbom.py build/sbom

The folder holds `tms-bridge.cdx.json`, which cyclonedx-py wrote of an environment that has what is
shipped alone, and `requirements.txt`, the same with hashes. This writes `licences.md` beside them. It fails
where a licence is missing or none of those that we may ship, and where pip-audit knows a weakness. pip-audit
asks PyPI; where that cannot be reached this says so, and passes.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_OURS: Final = frozenset(("tms-bridge", "tms-events"))
_MAY_SHIP: Final = (
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "PSF-2.0", "Unlicense"),
    *("Apache License 2.0", "Apache Software License", "BSD License", "MIT License"),
)
"""Licences that ask for no more than their text: by SPDX's name, and as older packages write them."""

_CLASSIFIER: Final = "License :: OSI Approved :: "
_AUDIT: Final = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")


def licences_of(component: Mapping[str, Any]) -> list[str]:
    """Return what a component of an SBOM says of its licence, each once; as an expression where it is one."""
    told = component.get("licenses", [])
    words = [one.get("expression") or one["license"].get("id") or one["license"].get("name") for one in told]
    return list(dict.fromkeys(word.removeprefix(_CLASSIFIER) for word in words if word))


def may_be_shipped(licence: str) -> bool:
    """Return whether every part of an expression is a licence that asks for no more than its text."""
    parts = licence.replace("(", " ").replace(")", " ").replace(" OR ", " AND ").split(" AND ")
    return all(part.strip() in _MAY_SHIP for part in parts)


def table(components: Sequence[Mapping[str, Any]]) -> str:
    """Return the licences as a table, package by package."""
    rows = [f"| {one['name']} | {one['version']} | {', '.join(licences_of(one))} |\n" for one in components]
    return "| package | version | licence |\n| --- | --- | --- |\n" + "".join(sorted(rows, key=str.lower))


def wrong(components: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what may not be shipped."""
    for one in components:
        licences = licences_of(one)
        if not any(may_be_shipped(licence) for licence in licences):
            yield f"{one['name']} {one['version']}: {', '.join(licences) or 'says nothing of its licence'}"


def weaknesses(report: str) -> list[str] | None:
    """Return what pip-audit knows against what is shipped; None where it has no report."""
    try:
        packages = json.loads(report)["dependencies"]
    except ValueError:
        return None
    return [
        f"{one['name']} {one['version']}: {known['id']}, mended in {known['fix_versions'] or 'no version'}"
        for one in packages
        for known in one.get("vulns", [])
    ]


def main(directory: Path) -> int:
    """Judge, and tell."""
    components = json.loads((directory / "tms-bridge.cdx.json").read_text())["components"]
    foreign = [one for one in components if one["name"] not in _OURS]
    (directory / "licences.md").write_text(table(foreign))
    found = [f"may not be shipped: {line}" for line in wrong(foreign)]
    print(f"{len(foreign)} packages are shipped; their licences are in {directory / 'licences.md'}")
    command = (
        Path(sys.executable).parent / "pip-audit",
        "--requirement",
        directory / "requirements.txt",
        *_AUDIT,
    )
    audited = subprocess.run(command, check=False, capture_output=True, text=True)
    known = weaknesses(audited.stdout)
    if known is None:
        reason = audited.stderr.strip().splitlines()[-1:] or ["no reason given"]
        print(f"not looked up whether weaknesses are known, PyPI does not answer: {reason[0]}")
    else:
        print(f"pip-audit knows {len(known)} weaknesses")
        found += known
    print("".join(f"{line}\n" for line in found), end="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
