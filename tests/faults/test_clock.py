"""The wall clock jumps by an hour, either way."""

import asyncio
import http.client
import json
import socket
from urllib.parse import urlsplit

import aio_pika
import pytest
from tests.faults.control import Control
from tests.faults.records import Binding, Delivery, read
from tests.faults.rig import until
from tests.faults.subject import AUTHORIZATION, Subject
from tests.faults.trial import Trial
from tests.waiting import patience

import tms_events
from rabbitmq import Node
from tms_events import Newest, Verdict

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


@pytest.mark.parametrize("restart", ["stop", "kill"])
def test_who_keeps_the_newest_event_of_a_class_drops_none_when_the_clock_steps_back(
    broker: Node, restart: str
) -> None:
    """Within a life and over restarts: of one moment the id decides, and ids rise within a life only."""
    Control(broker).declare([Binding("classes", "tms.class.*")], {})
    with Subject([broker.url]) as subject:
        _post(subject, 0)
        subject.shake("clock -60")
        _post(subject, 1)
        for status in (3, 5):
            # What is not settled by a kill comes twice, and the older of two copies may well be stale.
            until(lambda: subject.metrics()["tms_bridge_outbox_events"] == 0, "delivery")
            subject.kill() if restart == "kill" else subject.stop()
            subject.start()
            _post(subject, status)
            _post(subject, status + 1)
        events = asyncio.run(_consume(broker.url, 6))
    newest, verdicts = Newest(), []
    for event in events:
        verdicts.append(newest.judge(event))
        newest.remember(event)
    assert [Verdict.FRESH] * 6 == verdicts


async def _consume(url: str, count: int) -> list[tms_events.Event]:
    """Return the events of the queue `classes`, in the order in which they were sent."""
    async with await aio_pika.connect(url) as connection, patience():
        queue = await (await connection.channel()).get_queue("classes")
        async with queue.iterator(no_ack=True) as messages:
            return [tms_events.decode((await anext(messages)).body) for _ in range(count)]


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


def _post(subject: Subject, status: int = 0) -> tuple[str, str]:
    connection = http.client.HTTPConnection(urlsplit(subject.url).netloc, timeout=10)
    body = json.dumps({"Id": 7, "ConfirmationStatusId": status}).encode()
    try:
        connection.request("POST", _PATH, body, {"Authorization": AUTHORIZATION})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer["id"], answer["outcome"]
