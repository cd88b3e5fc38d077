"""Every alert fires by its cause, on a real bridge that a real Prometheus scrapes, and resolves with it."""

import contextlib
import json
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.faults.control import Control
from tests.faults.records import Binding
from tests.monitoring.prometheus import RULES, Prometheus
from tests.waiting import PATIENCE_S

from bridge import Bridge
from rabbitmq import Node

pytestmark = pytest.mark.long

NOT_CAUSED = {"TmsBridgeCommitsSlow", "TmsBridgeDefect"}
"""A slow disk and a defect cannot be had at will; promtool alone judges these."""

CONFIG = """
[http]
listen = "{http}"
shutdown_delay_s = 600
max_connections_per_peer = 12
[admin]
listen = "{admin}"
[amqp]
urls = ["{url}"]
[[amqp.queues]]
name = "crm"
bindings = ["tms.course_assignment.*"]
[outbox]
dir = "{outbox}"
max_bytes = 400000
min_free_bytes = {floor}
[sources.contoso]
allow_from = ["127.0.0.1"]
[[sources.contoso.credentials]]
name = "a"
basic = {{ username = "u", password = "right" }}
[sources.elsewhere]
allow_from = ["203.0.113.0/24"]
[[sources.elsewhere.credentials]]
name = "a"
basic = {{ username = "u", password = "right" }}
[sources.keeper]
allow_from = ["203.0.113.0/24"]
on_unlisted_address = "hold"
[[sources.keeper.credentials]]
name = "a"
basic = {{ username = "u", password = "right" }}
"""
RIGHT, WRONG = "Basic dTpyaWdodA==", "Basic dTp3cm9uZw=="
COMPLETED, NEW = 7, 99


class Scene:
    """A bridge, its broker, and who calls."""

    def __init__(self, bridge: Bridge, node: Node) -> None:
        self.bridge, self.node, self.control = bridge, node, Control(node)
        self._entity = 0
        self.fired: set[str] = set()

    def configure(self, *, floor: int = 0, more: str = "") -> None:
        text = CONFIG.format(
            http=self.bridge.url.removeprefix("http://"),
            admin=self.bridge.admin_url.removeprefix("http://"),
            url=self.node.url,
            outbox=self.bridge.outbox,
            floor=floor,
        )
        self.bridge.configuration.write_text(text + more)

    def call(self, source: str = "contoso", *, word: str = RIGHT, body: object = None, times: int = 1) -> int:
        """Call as TMS does, each time of another class; return the last status."""
        status = 0
        for _ in range(times):
            self._entity += 1
            content = json.dumps(body or {"Id": self._entity, "ConfirmationStatusId": COMPLETED}).encode()
            status = _request(
                "POST", f"{self.bridge.url}/webhooks/{source}/class-changed", content, Authorization=word
            )
        return status

    def drop_all(self, what: str) -> None:
        """Drop every parked row, as an operator would."""
        url = f"{self.bridge.admin_url}/api/v1/{what}"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310 - the bridge's own
            rows = json.load(answer)["rows"]
        for row in rows:
            assert (
                _request("DELETE", f"{self.bridge.admin_url}/api/v1/{what.partition('?')[0]}/{row['id']}")
                == 200
            )


def _request(method: str, url: str, body: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - the bridge's own
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture
def scene(private_rabbitmq: Node) -> Iterator[Scene]:
    bridge = Bridge(private_rabbitmq.url)
    try:
        yield Scene(bridge, private_rabbitmq)
    finally:
        bridge.close()


def test_every_alert_fires_by_its_cause_and_resolves(scene: Scene) -> None:
    scene.configure()
    scene.bridge.start()
    with Prometheus(scene.bridge.admin_url.removeprefix("http://")) as prometheus:
        for act in (callers, bodies, configuration, keys, broker_gone, process_gone):
            act(scene, prometheus)
        panels(prometheus)
        fired = {result["metric"]["alertname"] for result in prometheus.query("count_over_time(ALERTS[1h])")}
    named = {rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}
    assert named - NOT_CAUSED == fired


def callers(scene: Scene, prometheus: Prometheus) -> None:
    prometheus.until_shows("count_over_time(tms_bridge_ready[1m]) > 2")  # between which a counter can rise
    assert 401 == scene.call(word=WRONG, times=9)
    assert 404 == scene.call("fabrikam", times=9)
    assert 403 == scene.call("elsewhere", word=WRONG, times=9)
    prometheus.until_fires("TmsBridgeWrongCredentials", source="contoso")
    prometheus.until_fires("TmsBridgeUnknownPaths")
    prometheus.until_fires("TmsBridgeUnlistedCallers", source="elsewhere")
    assert 403 == scene.call("elsewhere")
    prometheus.until_fires("TmsBridgeVendorMoved", source="elsewhere")
    with contextlib.ExitStack() as stack:
        host, port = scene.bridge.url.removeprefix("http://").split(":")
        for _ in range(20):
            stack.enter_context(socket.create_connection((host, int(port))))
        prometheus.until_fires("TmsBridgeConnectionsRefused")
    prometheus.until_fires("TmsBridgeSilentSource", source="contoso")
    assert 202 == scene.call()
    prometheus.until_quiet("TmsBridgeSilentSource", source="contoso")
    for name in ("WrongCredentials", "UnknownPaths", "UnlistedCallers", "VendorMoved", "ConnectionsRefused"):
        prometheus.until_quiet(f"TmsBridge{name}")


def bodies(scene: Scene, prometheus: Prometheus) -> None:
    assert 202 == scene.call("keeper")
    prometheus.until_fires("TmsBridgeHeld")
    assert 422 == scene.call(body={"Nothing": 1})
    prometheus.until_fires("TmsBridgeQuarantine")
    assert 202 == scene.call(body={"Id": 1, "ConfirmationStatusId": NEW})
    prometheus.until_fires("TmsBridgeUnknownStatus", trigger="class")
    prometheus.until_fires("TmsBridgeUnroutable")
    scene.drop_all("quarantine")
    assert 202 == scene.call(times=1000)  # only then is anything new
    changed = ({"Id": number, "ConfirmationStatusId": COMPLETED, "Start": "soon"} for number in range(1, 40))
    assert {202} == {scene.call(body=body) for body in changed}
    prometheus.until_fires("TmsBridgeBodiesChanged", source="contoso")
    prometheus.until_fires("TmsBridgeFieldsUnread", trigger="class")
    for name in ("Held", "Quarantine", "UnknownStatus", "Unroutable", "BodiesChanged", "FieldsUnread"):
        prometheus.until_quiet(f"TmsBridge{name}")


def configuration(scene: Scene, prometheus: Prometheus) -> None:
    scene.configure(more="[dedup]\nwindow_s = 60.0\n")
    prometheus.until_fires("TmsBridgeRestartPending")
    scene.configure(more="[nonsense]\n")
    prometheus.until_fires("TmsBridgeReloadRefused")
    scene.configure()
    prometheus.until_quiet("TmsBridgeRestartPending")
    prometheus.until_quiet("TmsBridgeReloadRefused")


def keys(scene: Scene, prometheus: Prometheus) -> None:
    full: dict[str, str | int] = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
    scene.control.declare([Binding("limited", "tms.class.completed")], full)
    assert 202 == scene.call(times=8)
    prometheus.until_fires("TmsBridgeLanesBlocked")
    scene.node.ctl("delete_queue", "limited")
    prometheus.until_quiet("TmsBridgeLanesBlocked")
    scene.control.set_memory_alarm(on=True)
    assert 202 == scene.call()
    prometheus.until_fires("TmsBridgeBrokerBlocked")
    scene.control.set_memory_alarm(on=False)
    prometheus.until_quiet("TmsBridgeBrokerBlocked")
    scene.control.set_max_message_size(200)
    scene.node.ctl("close_all_connections", "new limit")
    assert 202 == scene.call()
    prometheus.until_fires("TmsBridgeEventsRefused")
    scene.control.set_max_message_size(16 << 20)
    scene.node.ctl("close_all_connections", "old limit")
    scene.drop_all("outbox?state=refused")
    prometheus.until_quiet("TmsBridgeEventsRefused")


def broker_gone(scene: Scene, prometheus: Prometheus) -> None:
    scene.node.stop()
    prometheus.until_fires("TmsBridgeBrokerAway")
    assert 202 == scene.call(times=20)
    prometheus.until_fires("TmsBridgeDeliveryBehind")
    prometheus.until_fires("TmsBridgeOutboxFillsUp")
    while (
        scene.call(body={"Id": time.time_ns() % 10**9, "ConfirmationStatusId": 7, "Notes": "x" * 8000}) == 202
    ):
        pass
    prometheus.until_fires("TmsBridgeOutboxHalfFull")
    prometheus.until_fires("TmsBridgeEventsTurnedAway")
    scene.node.start()
    for name in (
        "BrokerAway",
        "DeliveryBehind",
        "OutboxFillsUp",
        "OutboxHalfFull",
        "EventsTurnedAway",
    ):
        prometheus.until_quiet(f"TmsBridge{name}")


def process_gone(scene: Scene, prometheus: Prometheus) -> None:
    prometheus.until_fires("TmsBridgeAllowlistUnchecked")
    scene.node.ctl("delete_queue", "crm")
    scene.control.declare([Binding("crm", "tms.#")], {"x-max-length": 5})
    scene.bridge.terminate()
    prometheus.until_fires("TmsBridgeNotReady")
    scene.bridge.stop(timeout_s=PATIENCE_S)  # the second signal hurries the first
    prometheus.until_fires("TmsBridgeDown")
    prometheus.until_fires("TmsBridgeAbsent")
    scene.configure(floor=shutil.disk_usage(Path(scene.bridge.outbox)).free * 6 // 10)
    scene.bridge.start()
    prometheus.until_shows("tms_bridge_ready == 1")
    for name in ("NotReady", "Down", "Absent", "AllowlistUnchecked"):
        prometheus.until_quiet(f"TmsBridge{name}")
    prometheus.until_fires("TmsBridgeDiskLow")
    prometheus.until_fires("TmsBridgeTopologyErrors")
    scene.node.ctl("delete_queue", "crm")
    scene.bridge.kill()
    scene.configure()
    scene.bridge.start()
    prometheus.until_shows("tms_bridge_ready == 1")
    prometheus.until_quiet("TmsBridgeTopologyErrors")
    prometheus.until_quiet("TmsBridgeDiskLow")


def panels(prometheus: Prometheus) -> None:
    """Run every query of the dashboard; on a bridge that has seen all this, each shows something."""
    board = json.loads((RULES.parent / "dashboard.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(queries) > 20
    for query in queries:
        prometheus.until_shows(query.replace("$job", "tms-bridge").replace("$__rate_interval", "5m"))
