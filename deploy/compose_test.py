"""Runs the services of compose.yaml by hand, with its own files; a line for each check, exits 1 if one fails.

    PYTHONPATH=deploy/local .venv/bin/python deploy/compose_test.py

There need be no Docker: RabbitMQ, bridge and Prometheus are this machine's, in a network and with mounts of
their own, where the names and paths of the compose file hold. Grafana is not run.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import yaml

from checks.verdict import Verdict
from janitor import Janitor
from packages import find_promtool
from program import Program, ProgramFailedError
from rabbitmq import Node

_DEPLOY: Final = Path(__file__).resolve().parent
_TMS_BRIDGE: Final = str(Path(sys.executable).with_name("tms-bridge"))
_SECRETS: Final = ("RABBITMQ_PASSWORD", "TMS_PASSWORD", "ADMIN_TOKEN", "GRAFANA_PASSWORD")
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::[-?][^}]*)?\}")
# Prometheus looks every 15 s, at each target at a moment of its own.
_SCRAPED_WITHIN_S: Final = 90.0

# A network with a loopback alone, and the paths that the services see.
_INSIDE: Final = """\
set -e
ip link set lo up
mount --bind "$1/hosts" /etc/hosts
mount -t tmpfs tmpfs /run
cp -r "$1/secrets" /run/secrets
mount -t tmpfs tmpfs /var/lib
mkdir /var/lib/tms-bridge
mount -t tmpfs tmpfs /etc/prometheus
mkdir /etc/prometheus/rules
mount --bind "$2/monitoring" /etc/prometheus/rules
cp "$2/compose/prometheus.yml" /etc/prometheus/prometheus.yml
shift 2
exec "$@"
"""


class Service(Program):
    """One service of the compose file, as a program of this machine."""

    title = "the service"

    def __init__(self, command: list[str], environ: Mapping[str, str], ready_url: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="tms-service-"))
        super().__init__(Janitor(self._directory))
        self._command = command
        self._environ = {**os.environ, **environ}
        self._ready_url = ready_url

    @property
    def log(self) -> str:
        """What it has said."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start it and wait until it is ready."""
        log = self._directory / "log"
        self._process = self._janitor.spawn(self._command, env=self._environ, cwd=self._directory, output=log)
        self.wait_ready(timeout_s=60.0)

    def is_ready(self) -> bool:
        """Tell whether its address answers."""
        with suppress(OSError), urllib.request.urlopen(self._ready_url, timeout=2.0):  # noqa: S310 - ours
            return True
        return False


def verdicts(compose: dict[str, Any]) -> Iterator[Verdict]:
    """Start the services, inside of their network, and yield what is found."""
    services, configs = compose["services"], compose["configs"]
    environ = {name: _filled_in(text) for name, text in services["bridge"]["environment"].items()}
    environ["TMS_BRIDGE_CONFIG"] = str(_DEPLOY / configs["tms-bridge"]["file"])
    with ExitStack() as running:
        running.enter_context(_broker(services["rabbitmq"]["environment"]))
        running.enter_context(Service([_TMS_BRIDGE, "serve"], environ, "http://bridge:8080/readyz"))
        yield Verdict("RabbitMQ and the bridge start with their files and variables", ())
        prometheus = [str(find_promtool().with_name("prometheus")), *services["prometheus"]["command"][:1]]
        storage = ["--storage.tsdb.path=/var/lib/prometheus"]
        running.enter_context(Service([*prometheus, *storage], {}, "http://prometheus:9090/-/ready"))
        yield Verdict("Prometheus starts with its file", ())
        yield _ran(
            "the bridge's health check is content", services["bridge"]["healthcheck"]["test"][1:], environ
        )
        simulate = "tms-bridge simulate --every-status --url http://bridge:8080 --source contoso"
        yield _ran("twelve webhooks are taken, with the password of .env", simulate.split(), environ)
        yield from _scraped()


def _broker(wanted: Mapping[str, str]) -> Node:
    user, password = (_filled_in(wanted[f"RABBITMQ_DEFAULT_{part}"]) for part in ("USER", "PASS"))
    compose_port = {"listeners.tcp.compose": "127.0.0.1:5672"}
    return Node(
        plugins=["rabbitmq_prometheus"], conf={"default_user": user, "default_pass": password} | compose_port
    )


def _filled_in(text: str) -> str:
    return _VARIABLE.sub(lambda found: os.environ[found[1]], text)


def _ran(sentence: str, command: list[str], environ: Mapping[str, str]) -> Verdict:
    done = subprocess.run(
        [_TMS_BRIDGE, *command[1:]],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return Verdict(sentence, () if done.returncode == 0 else (done.stdout + done.stderr,))


def _scraped() -> Iterator[Verdict]:
    """Check what Prometheus has of the targets, the alerts and the webhooks."""
    wrong = _soon(
        lambda: tuple(
            f"{target['labels']['job']} is {target['health']}: {target['lastError']}"
            for target in _ask("targets")["activeTargets"]
            if target["health"] != "up"
        )
    )
    yield Verdict("Prometheus reaches bridge and RabbitMQ by the names in its file", wrong)
    yield Verdict("it judges every alert of deploy/monitoring", _soon(_unjudged))
    yield Verdict("it has counted the twelve webhooks", _soon(_uncounted))


def _unjudged() -> tuple[str, ...]:
    groups = yaml.safe_load((_DEPLOY / "monitoring" / "alerts.yaml").read_text())["groups"]
    well = {
        rule["name"] for group in _ask("rules")["groups"] for rule in group["rules"] if rule["health"] == "ok"
    }
    return tuple(rule["alert"] for group in groups for rule in group["rules"] if rule["alert"] not in well)


def _uncounted() -> tuple[str, ...]:
    found = _ask("query?query=sum(tms_bridge_events_total)")["result"]
    return () if [each["value"][1] for each in found] == ["12"] else (f"it has {found}",)


def _soon(complaints: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Ask until there is nothing to complain about, or for as long as several looks of Prometheus take."""
    deadline = time.monotonic() + _SCRAPED_WITHIN_S
    while (found := complaints()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _ask(what: str) -> Any:
    with urllib.request.urlopen(f"http://prometheus:9090/api/v1/{what}", timeout=10.0) as answer:
        return json.load(answer)["data"]


def enter() -> int:
    """Run this program again in a network of its own, with the secrets of a `.env`; return its exit code."""
    find_promtool()  # a package can be installed out here only
    with tempfile.TemporaryDirectory() as directory:
        compose = yaml.safe_load((_DEPLOY / "compose.yaml").read_text())
        values = {name: secrets.token_hex(12) for name in _SECRETS} | {"TMS_ALLOW_FROM": "127.0.0.1"}
        names = " ".join(compose["services"])
        Path(directory, "hosts").write_text(f"127.0.0.1 localhost {names}\n")
        Path(directory, "secrets").mkdir(mode=0o700)
        for name, secret in compose["secrets"].items():
            Path(directory, "secrets", name).write_text(values[secret["environment"]])
        namespaces = ["unshare", "--map-root-user", "--net", "--mount", "--propagation", "private"]
        inside = ["sh", "-c", _INSIDE, "sh", directory, str(_DEPLOY), sys.executable, __file__, "--inside"]
        return subprocess.run([*namespaces, *inside], env=os.environ | values, check=False).returncode


def main() -> int:
    """Print every verdict; return the exit code."""
    failed = 0
    try:
        for verdict in verdicts(yaml.safe_load((_DEPLOY / "compose.yaml").read_text())):
            print(f"{'WRONG' if verdict.complaints else 'ok':5} compose: {verdict.sentence}", flush=True)
            for complaint in verdict.complaints:
                print(f"      {complaint}")
            failed += bool(verdict.complaints)
    except ProgramFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main() if "--inside" in sys.argv else enter())
