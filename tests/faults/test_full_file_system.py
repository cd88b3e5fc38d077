"""The file system of the outbox is full, then has room again: a small one of its own, mounted for this."""

import http.client
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.faults.control import Control
from tests.faults.records import Binding
from tests.faults.rig import until
from tests.faults.subject import AUTHORIZATION, Subject

from rabbitmq import Node

_SIZE = "12m"
_MOUNT = f'mount -t tmpfs -o size={_SIZE} tmpfs "$0" && exec "$@"'
_QUEUE = "all"


@pytest.fixture
def subject(broker: Node, tmp_path: Path) -> Iterator[Subject]:
    """A bridge whose outbox lies on a file system of twelve megabytes, which ends with it."""
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    Control(broker).declare([Binding(_QUEUE, "tms.#")], {})
    inside = [*_own_mounts(), "/bin/sh", "-c", _MOUNT, str(outbox)]
    with Subject([broker.url], outbox=outbox, prefix=inside) as running:
        yield running


def test_a_full_file_system_is_no_end_and_no_loss(subject: Subject, broker: Node) -> None:
    told = [_post(subject, number)[1]["id"] for number in range(20)]
    outbox = Path(f"/proc/{subject.pid}/root{subject.outbox}")
    filler = outbox / "filler"
    _fill(filler)
    number = _send_until_refused(subject, told)
    status, problem = _post(subject, number)
    assert (503, "unavailable") == (status, problem["type"].rpartition(":")[2].rpartition("/")[2])
    assert subject.running
    assert subject.answers("/livez")
    until(lambda: subject.metrics()["tms_bridge_outbox_events"] == 0, "what was accepted to leave")
    filler.unlink()
    until(lambda: _post(subject, number)[0] == 202, "events to be taken again")
    until(lambda: subject.metrics()["tms_bridge_outbox_events"] == 0, "the last event to leave")
    until(lambda: Control(broker).ready([_QUEUE])[_QUEUE] == len(told) + 1, "all of them to arrive")
    assert 0 == subject.stop()


def _own_mounts() -> Sequence[str]:
    """Return what gives a program mounts of its own, by root's right or by that of a user namespace."""
    as_root = ("unshare", "--mount")
    return as_root if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--mount")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue


def _send_until_refused(subject: Subject, told: list[str]) -> int:
    """Send on: pages that the journal has already may hold a few more."""
    for number in range(1000, 3000):
        status, answer = _post(subject, number)
        if status == 503:
            return number
        told.append(answer["id"])
    raise AssertionError("the file system is full, and everything is still accepted")


def _post(subject: Subject, number: int) -> tuple[int, dict[str, str]]:
    body = json.dumps({"Id": number, "ConfirmationStatusId": 0, "Padding": "x" * 2000})
    connection = http.client.HTTPConnection(urlsplit(subject.url).netloc, timeout=10)
    try:
        path = "/webhooks/contoso/class-changed"
        connection.request("POST", path, body, {"Authorization": AUTHORIZATION})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
