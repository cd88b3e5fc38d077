"""The alerts by themselves: what promtool says of them, and that the runbook knows each."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.rendering import render_together
from packages import find_promtool

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RUNBOOK = ROOT / "docs" / "operations.md"
LOG_EVENT = re.compile(r'logger\.(?:info|warning|error|exception|critical)\(\s*"([^"%]+)"')


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="session")
def promtool() -> str:
    return str(find_promtool())


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_on_what_it_is_about_and_on_nothing_before(promtool: str) -> None:
    run(promtool, "check", "rules", "alerts.yaml")
    run(promtool, "test", "rules", "alerts_test.yaml")


def test_every_alert_has_such_a_test() -> None:
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    assert [rule["alert"] for rule in rules()] == [test["name"] for test in tests]


def test_every_alert_has_a_severity_and_its_section_in_the_runbook() -> None:
    sections = re.findall(r"^### (TmsBridge\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert [rule["alert"] for rule in rules()] == sections
    for rule in rules():
        assert f"docs/operations.md#{rule['alert'].lower()}" == rule["annotations"]["runbook"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_the_runbook_knows_every_line_of_the_log() -> None:
    sources = (ROOT / "service").rglob("*.py")
    events = {event for path in sources for event in LOG_EVENT.findall(path.read_text())}
    page = RUNBOOK.read_text()
    assert len(events) > 10
    assert [] == sorted(event for event in events if f"`{event}`" not in page)


def test_the_component_ships_the_same_alerts_and_the_same_dashboard() -> None:
    objects: Any = render_together(ROOT / "deploy" / "kustomize", ("monitoring",), "")
    (operated,) = (each for each in objects if each["kind"] == "PrometheusRule")
    assert rules() == [rule for group in operated["spec"]["groups"] for rule in group["rules"]]
    marked = (each for each in objects if "grafana_dashboard" in each["metadata"].get("labels", {}))
    assert [{"tms-bridge.json": (MONITORING / "dashboard.json").read_text()}] == [
        each["data"] for each in marked
    ]
