"""Writes the parts of the documentation that come from the code, or checks that they are up to date."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import indent

import cli_page
import metrics_page
from tms_bridge.settings import reference
from tms_events import table
from tms_events.artefact.files import files

ROOT = Path(__file__).resolve().parents[2]
_MONITORING = ROOT / "deploy" / "monitoring"
_COMPONENT = ROOT / "deploy" / "kustomize" / "components" / "monitoring"

_RULE_HEAD = """\
# deploy/monitoring/alerts.yaml for the Prometheus Operator; `make docs` writes it.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: tms-bridge
spec:
"""


def documents() -> Iterator[tuple[Path, str]]:
    """Yield each document that the code has a part in, with the text that it should have."""
    yield ROOT / "docs" / "topics.md", table.render()
    for name, content in files().items():
        yield ROOT / "schemas" / name, content
    yield ROOT / "docs" / "cli.md", cli_page.render()
    yield ROOT / "docs" / "metrics.md", metrics_page.render()
    # Kustomize reads nothing outside of a component's own directory.
    yield _COMPONENT / "prometheusrule.yaml", _prometheus_rule()
    yield _COMPONENT / "dashboard.json", (_MONITORING / "dashboard.json").read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text()
        if reference.BEGIN in text:
            yield path, reference.refresh(text)


def _prometheus_rule() -> str:
    """Return the alerts as the Prometheus Operator takes them."""
    rules = (_MONITORING / "alerts.yaml").read_text()
    spec = indent(rules[rules.index("groups:") :], "  ")
    return f"{_RULE_HEAD}{spec}"


def main(arguments: Sequence[str]) -> int:
    """Refresh every document; with --check only say which ones are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something is stale")
    check = parser.parse_args(arguments).check
    stale = [(path, text) for path, text in documents() if not path.exists() or path.read_text() != text]
    for path, text in stale:
        print(f"{path.relative_to(ROOT)} {'is out of date; run make docs' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
