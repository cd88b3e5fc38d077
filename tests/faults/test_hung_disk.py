"""The disk of the outbox hangs: no sync ever returns. Answers, memory and the end stay bounded."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import pytest
from tests.faults.rig import until
from tests.faults.subject import AUTHORIZATION, Subject
from tests.waiting import PATIENCE_S

SENDERS = 150
CALLS = 4
BODY_BYTES = 200_000
MOST_MORE_BYTES = 160 << 20

pytestmark = [
    pytest.mark.long,
    # aiohttp's client drops a connection with the rest of a body that was answered before it was read; the
    # event loop may end before that is gone.
    pytest.mark.filterwarnings(
        "ignore:.*(socket.socket|_SelectorTransport):pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture
def subject() -> Iterator[Subject]:
    with _running() as subject:
        yield subject


@contextmanager
def _running(shutdown_delay_s: float = 0.5) -> Iterator[Subject]:
    """Run a bridge that has taken an event in, without a broker: nothing here concerns one."""
    with Subject(["amqp://127.0.0.1:1"], shutdown_delay_s=shutdown_delay_s) as running:
        assert [202] == asyncio.run(_send(running, senders=1, calls=1))
        yield running


def test_answers_and_memory_are_bounded_and_sigterm_ends_it(subject: Subject) -> None:
    before = subject.rss_bytes()
    subject.shake("fsync hang")
    codes = asyncio.run(_send(subject, senders=SENDERS, calls=CALLS))
    assert {503: SENDERS * CALLS} == Counter(codes)
    assert subject.peak_rss_bytes() - before < MOST_MORE_BYTES
    assert not subject.answers("/readyz")
    assert subject.answers("/livez")
    subject.terminate()
    assert 1 == subject.wait(timeout_s=PATIENCE_S)


def test_a_second_sigterm_ends_it_at_once() -> None:
    with _running(shutdown_delay_s=10 * PATIENCE_S) as subject:
        subject.shake("fsync hang")
        asyncio.run(_send(subject, senders=1, calls=1))
        subject.terminate()
        until(lambda: '"stopping"' in subject.log, "the bridge to hear of it")
        subject.terminate()
        assert 1 == subject.wait(timeout_s=PATIENCE_S)


def test_a_disk_that_answers_again_takes_events_again(subject: Subject) -> None:
    subject.shake("fsync hang")
    assert [503] == asyncio.run(_send(subject, senders=1, calls=1))
    until(lambda: not subject.answers("/readyz"), "the bridge to be not ready")
    subject.shake("fsync ok")
    until(lambda: subject.answers("/readyz"), "the bridge to be ready")
    assert [202] == asyncio.run(_send(subject, senders=1, calls=1))
    assert 0 == subject.stop()


async def _send(subject: Subject, *, senders: int, calls: int) -> list[int]:
    """Return the status of each answer; every body is another event."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        subject.url, connector=connector, headers={"Authorization": AUTHORIZATION}
    ) as session:
        sent = [_one_after_another(session, number, calls) for number in range(senders)]
        return [code for codes in await asyncio.gather(*sent) for code in codes]


async def _one_after_another(session: aiohttp.ClientSession, sender: int, calls: int) -> list[int]:
    return [code async for code in _codes(session, sender, calls)]


async def _codes(session: aiohttp.ClientSession, sender: int, calls: int) -> AsyncIterator[int]:
    for number in range(calls):
        event = {"Id": 1000 * sender + number + 1, "ConfirmationStatusId": 0, "Padding": "x" * BODY_BYTES}
        async with session.post("/webhooks/contoso/class-changed", data=json.dumps(event)) as answer:
            await answer.read()
            yield answer.status
