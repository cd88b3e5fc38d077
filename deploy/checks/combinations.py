"""Components of the kustomization, alone and together, with the configuration that each wants."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from checks.rendering import TOML_NAME, Object, render_together

PLACEHOLDER: Final = "CHANGE-ME"
"""What stands in a shipped overlay where it cannot work without its user."""

FILLED_IN: Final = "10.244.7.0/24"
"""What such a place is filled with here."""

DISKLESS: Final = "diskless"

_WAYS_IN: Final = {"ingress": {"ingress"}, "gateway": {"gateway", "gateway-envoy"}}
_SNIPPET: Final = "# In tms-bridge.toml:\n"
_TABLE: Final = re.compile(r"\[+([^\]]+)\]+\s*(#.*)?")


def components(kustomize: Path) -> tuple[str, ...]:
    """Return the names of all components."""
    return tuple(sorted(found.parent.name for found in kustomize.glob("components/*/kustomization.yaml")))


def combinations(kustomize: Path) -> Iterator[tuple[str, ...]]:
    """Yield each component alone, each pair, and all together: once for each way in."""
    names = components(kustomize)
    yield from itertools.combinations(names, 1)
    yield from itertools.combinations(names, 2)
    yield from together(kustomize).values()


def together(kustomize: Path) -> dict[str, tuple[str, ...]]:
    """Return all components that go together, by their way in."""
    ways = set().union(*_WAYS_IN.values())
    return {
        name: tuple(found for found in components(kustomize) if found in way or found not in ways)
        for name, way in _WAYS_IN.items()
    }


def configuration(kustomize: Path, names: Sequence[str]) -> str:
    """Return production's configuration, filled in, with what the components' files say to write there."""
    toml = (kustomize / "overlays" / "production" / TOML_NAME).read_text().replace(PLACEHOLDER, FILLED_IN)
    for name in names:
        toml = _with(toml, _snippet(kustomize / "components" / name / "kustomization.yaml"))
    return _without_outbox(toml) if DISKLESS in names else toml


def rendered(kustomize: Path, names: Sequence[str], **more: object) -> tuple[Object, ...]:
    """Render the base with these components and the configuration that they want; `more` as in rendering."""
    return render_together(kustomize, names, configuration(kustomize, names), **more)


def _snippet(kustomization: Path) -> list[str]:
    """Return the lines of TOML that a component's head comment says to write."""
    _, _, rest = kustomization.read_text().partition(_SNIPPET)
    comment = itertools.takewhile(lambda line: line.startswith("#     "), rest.splitlines())
    return [line.removeprefix("#     ") for line in comment]


def _with(toml: str, snippet: list[str]) -> str:
    lines, table = toml.splitlines(), ""
    for line in snippet:
        if found := _TABLE.fullmatch(line):
            table = found[1]
        else:
            _put(lines, table, line)
    return "\n".join(lines) + "\n"


def _put(lines: list[str], table: str, line: str) -> None:
    """Write a key over the one that is there, or under its table's head."""
    key = line.partition("=")[0].strip()
    start = lines.index(f"[{table}]") + 1
    for at in range(start, len(lines)):
        if _TABLE.fullmatch(lines[at]):
            break
        if lines[at].partition("=")[0].strip() == key:
            lines[at] = line
            return
    lines.insert(start, line)


def _without_outbox(toml: str) -> str:
    kept = re.sub(r"\[outbox\]\n(?:[^\[\n].*\n)*", "", toml)
    return f"# accepted: outbox - there is no disk\n{kept}"
