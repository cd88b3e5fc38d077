"""Very many entities wait behind one full queue, beside a healthy one; then the queue takes them."""

import http.client
import itertools
import json
import statistics
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.faults.control import Control
from tests.faults.records import Binding
from tests.faults.rig import until
from tests.faults.subject import AUTHORIZATION, Subject

from rabbitmq import Node

WAITING = 150_000
HEALTHY = 200
BESIDE = 10
"""Events of the healthy key while what has waited is read again."""

MOST_S = 1.0
"""How long most events of the healthy key may take, on a machine that does other things as well."""

MOST_BYTES = 150 << 20
_RESCHEDULED, _COMPLETED = 3, 7
_LANE = Binding("full", "tms.class.rescheduled")
# A quorum queue takes a few more from each new channel, which opens the lane and has all of it read again.
_FULL: Mapping[str, str | int] = {
    "x-queue-type": "classic",
    "x-max-length": 1,
    "x-overflow": "reject-publish",
}


@pytest.fixture
def subject(broker: Node) -> Iterator[Subject]:
    control = Control(broker)
    control.declare([_LANE], _FULL)
    control.declare([Binding("healthy", "tms.class.completed")], {})
    with Subject([broker.url], max_outstanding=256) as running:
        yield running


@pytest.mark.long
def test_no_number_of_entities_behind_a_full_queue_holds_up_another_key(
    subject: Subject, broker: Node, tmp_path: Path
) -> None:
    entities = itertools.count()
    until(lambda: _is_blocked_after(subject, next(entities)), "the queue to refuse")
    many = tmp_path / "many.jsonl"
    exported = subject.command("outbox", "export", "-").stdout.splitlines()[0]
    many.write_text("\n".join(_copies(json.loads(exported))))
    assert 0 == subject.stop()
    assert 0 == subject.command("outbox", "import", str(many)).returncode
    subject.start()
    _delivery_s(subject, broker, 1)  # behind all of them, which are looked past once
    took_s = [_delivery_s(subject, broker, number + 1) for number in range(1, HEALTHY)]
    assert statistics.median(took_s) < MOST_S
    assert subject.metrics()["tms_bridge_outbox_events"] > WAITING
    _open_lane(subject, Control(broker))
    took_s = [_delivery_s(subject, broker, number + 1) for number in range(HEALTHY, HEALTHY + BESIDE)]
    assert statistics.median(took_s) < MOST_S
    # They were read while the healthy key's went out.
    assert WAITING / 2 < subject.metrics()["tms_bridge_outbox_events"] < WAITING
    assert subject.peak_rss_bytes() < MOST_BYTES
    subject.kill()


def _open_lane(subject: Subject, control: Control) -> None:
    """Let what has waited go where there is room, and wait until the bridge has found out."""
    control.declare([Binding("sink", _LANE.pattern)], {"x-queue-type": "classic", "x-max-length": 1})
    control.unbind([_LANE])
    until(lambda: subject.metrics()["tms_bridge_lanes_blocked"] == 0, "the lane to open", timeout_s=60.0)


def _is_blocked_after(subject: Subject, entity: int) -> bool:
    _post(subject, entity, _RESCHEDULED)
    return (
        subject.metrics()["tms_bridge_lanes_blocked"] == 1
        and subject.metrics()["tms_bridge_outbox_events"] > 0
    )


def _copies(row: dict[str, object]) -> Iterator[str]:
    for number in range(WAITING):
        yield json.dumps({**row, "id": str(uuid.uuid4()), "entity": str(1_000_000 + number)})


def _delivery_s(subject: Subject, broker: Node, count: int) -> float:
    """Return how long an event took of an entity that nothing waits of."""
    sent = time.monotonic()
    _post(subject, 10_000 + count, _COMPLETED)
    until(lambda: Control(broker).ready(["healthy"])["healthy"] == count, "delivery", timeout_s=120.0)
    return time.monotonic() - sent


def _post(subject: Subject, entity: int, status: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(subject.url).netloc, timeout=10)
    body = json.dumps({"Id": entity, "ConfirmationStatusId": status})
    connection.request("POST", "/webhooks/contoso/class-changed", body, {"Authorization": AUTHORIZATION})
    assert 202 == connection.getresponse().status
    connection.close()
