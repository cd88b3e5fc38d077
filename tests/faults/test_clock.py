"""The wall clock jumps by an hour, either way."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from tests.faults.records import Delivery, read
from tests.faults.rig import until
from tests.faults.subject import AUTHORIZATION, Subject
from tests.faults.trial import Trial

_BODY = json.dumps({"Id": 7, "ConfirmationStatusId": 0}).encode()
_PATH = "/webhooks/contoso/class-changed"


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_clock_that_jumps_disturbs_nothing(trial: Trial, jump_s: int) -> None:
    for seconds in (jump_s, 0):
        trial.rig.subject.shake(f"clock {seconds}")
        trial.progress(60)
        trial.deliver(60)
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert {0} == set(verdict.counts.copies.values())
    assert 0 == verdict.counts.given_up


def test_what_is_received_after_a_step_back_and_a_restart_is_no_older(trial: Trial) -> None:
    """The checker compares the `received_at` of each class's events in the order in which they were sent."""
    with trial.under("clock-step"):
        trial.deliver(100)
        last = read(trial.rig.directory / "deliveries.jsonl", Delivery)[-20:]
        assert 1 == len(
            {delivery.received_at for delivery in last}
        )  # it stands, until the clock has come there
    verdict = trial.verdict()
    assert [] == verdict.violations
    assert 0 == verdict.counts.given_up


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_retry_is_recognised_across_a_jump(trial: Trial, jump_s: int) -> None:
    """The window counts by a clock that does not jump, also over a restart."""
    subject = trial.rig.subject
    trial.rig.finish_sending()
    subject.shake("fsync 0.3")
    delivered = trial.delivered
    _send_and_leave(subject)
    until(lambda: trial.delivered > delivered, "the event to arrive")
    subject.shake("fsync ok")
    subject.shake(f"clock {jump_s}")
    first, outcome = _post(subject)
    assert "duplicate" == outcome
    subject.shake("kill committed")
    with pytest.raises(OSError, match=r"closed|reset"):
        _post(subject)
    trial.rig.kill_bridge()
    subject.start()
    second, outcome = _post(subject)
    assert "duplicate" == outcome
    assert first != second


def _send_and_leave(subject: Subject) -> None:
    address = urlsplit(subject.url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        head = f"POST {_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTHORIZATION}\r\n"
        connection.sendall(f"{head}Content-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY)


def _post(subject: Subject) -> tuple[str, str]:
    connection = http.client.HTTPConnection(urlsplit(subject.url).netloc, timeout=10)
    try:
        connection.request("POST", _PATH, _BODY, {"Authorization": AUTHORIZATION})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer["id"], answer["outcome"]
