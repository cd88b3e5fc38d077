"""A real Prometheus that scrapes a bridge each second and judges the alerts in hurry."""

import json
import os
import re
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.waiting import PATIENCE_S

from janitor import Janitor
from packages import find_promtool
from ports import free_port
from program import Program

RULES: Final = Path(__file__).resolve().parents[2] / "deploy" / "monitoring" / "alerts.yaml"
WINDOW_S: Final = 15

# What stands in the file, and what a test can wait for.
_SOONER: Final = {
    "> 300": "> 3",
    "> 172800": "> 8",
    "> 45 * 86400": "> 40",
    "4 * 3600": "600",
}

_CONFIGURATION: Final = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [alerts.yaml]
scrape_configs:
  - job_name: tms-bridge
    static_configs: [{{targets: ["{target}"], labels: {{namespace: prod}}}}]
"""


def hurried(rules: str) -> str:
    """Make every range short, every threshold of time near, and let nothing last before it is an alert."""
    for slow, fast in _SOONER.items():
        assert slow in rules, slow
        rules = rules.replace(slow, fast)
    rules = re.sub(r"\[\d+[mh]\]", f"[{WINDOW_S}s]", rules)
    return re.sub(r"\n +for: \w+", "", rules)


class Prometheus(Program):
    """One Prometheus with the alerts of this project; use it as a context manager."""

    title = "Prometheus"

    def __init__(self, target: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="tms-prometheus-"))
        super().__init__(Janitor(self._directory))
        self._address = f"127.0.0.1:{free_port()}"
        (self._directory / "prometheus.yml").write_text(_CONFIGURATION.format(target=target))
        (self._directory / "alerts.yaml").write_text(hurried(RULES.read_text()))

    @property
    def log(self) -> str:
        """What it has logged."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            str(find_promtool().with_name("prometheus")),
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address={self._address}",
            "--enable-feature=exemplar-storage",
        ]
        log = self._directory / "log"
        self._process = self._janitor.spawn(command, env=os.environ, cwd=self._directory, output=log)
        self.wait_ready(timeout_s=PATIENCE_S)

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=2):
                return True
        except OSError:
            return False

    def firing(self) -> list[Mapping[str, str]]:
        """Return the labels of each alert that fires now."""
        alerts = self._get("alerts", {})["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def query(self, expression: str) -> list[Any]:
        """Return what an expression gives now."""
        found: list[Any] = self._get("query", {"query": expression})["result"]
        return found

    def until_fires(self, name: str, **labels: str) -> None:
        """Wait until an alert fires."""
        self._until(lambda: bool(self._found(name, labels)), f"{name} {labels} to fire")

    def until_quiet(self, name: str, **labels: str) -> None:
        """Wait until an alert no longer fires."""
        self._until(lambda: not self._found(name, labels), f"{name} {labels} to resolve")

    def until_shows(self, expression: str) -> None:
        """Wait until an expression gives something."""
        self._until(lambda: bool(self.query(expression)), f"{expression} to show something")

    def until_exemplified(self, series: str, trace_id: str) -> None:
        """Wait until an exemplar of a series names a trace."""
        self._until(lambda: trace_id in self._exemplars(series), f"an exemplar of {series}")

    def _exemplars(self, series: str) -> set[str]:
        found = self._get("query_exemplars", {"query": series, "start": "0", "end": str(time.time())})
        return {exemplar["labels"]["trace_id"] for each in found for exemplar in each["exemplars"]}

    def _found(self, name: str, labels: Mapping[str, str]) -> list[Mapping[str, str]]:
        wanted = {"alertname": name, **labels}.items()
        return [alert for alert in self.firing() if wanted <= alert.items()]

    def _until(self, condition: Callable[[], bool], what: str, *, timeout_s: float = 90.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}; firing: {self.firing()}"
            time.sleep(0.2)

    def _get(self, what: str, arguments: Mapping[str, str]) -> Any:
        url = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return json.load(answer)["data"]
