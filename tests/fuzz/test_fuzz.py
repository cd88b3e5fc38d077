"""A short part of `make fuzz`, and everything that it has found, again."""

import asyncio
import math
import os
from pathlib import Path

import msgspec
import pytest
from tests.admin.fuzz import ROW
from tests.fuzz import listener
from tests.fuzz.listener import Account, read_answers
from tests.fuzz.requests import Kind, Sent, owed
from tests.fuzz.runner import Run
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

from tms_bridge.outbox.rows import Row

SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNTS = {
    "decoder": 5_000,
    "forwarding": 8_000,
    "proxy": 8_000,
    "configuration": 300,
    "page": 2_000,
    "rows": 8_000,
}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_what_reads_it(name: str) -> None:
    report = Run(TARGETS[name], SEED).go(COUNTS[name], math.inf, keep=False)

    assert [] == report.findings


KEPT = [(name, path) for name, target in TARGETS.items() for path in target.kept()]


@pytest.mark.parametrize(("name", "path"), KEPT, ids=[f"{name}-{path.name}" for name, path in KEPT])
def test_what_was_found_once_is_read_as_it_should_be(name: str, path: Path) -> None:
    TARGETS[name].judge(path.read_bytes())


def test_no_stream_of_requests_loses_or_invents_an_event() -> None:
    account = asyncio.run(listener.run(2000, math.inf, SEED))

    assert [] == account.findings
    assert len(account.told) > 200
    assert account.statuses.keys() >= {200, 202, 400, 403, 422}


def test_an_input_that_breaks_its_reader_is_told() -> None:
    def judge(given: bytes) -> None:
        assert given != b"b"

    report = Run(Target("letters", lambda random: random.choice((b"a", b"b")), judge), SEED).go(
        100, math.inf, keep=False
    )

    assert "AssertionError" in report.findings[0]
    assert 100 == report.inputs


def event(number: int, *, stays: bool = True) -> Sent:
    return Sent(b"", Kind.EVENT, number, stays=stays)


def row(number: int) -> Row:
    return msgspec.convert({**ROW, "id": "a", "entity": str(number)}, Row)


PROBE = Sent(b"", Kind.NOTHING, stays=True)
REFUSED = Sent(b"", Kind.NOTHING, 9)


def test_what_is_owed_ends_where_a_connection_may_end() -> None:
    assert [1, 2] == [one.number for one in owed([event(1), PROBE, event(2), REFUSED, event(3)])]
    assert [1] == [one.number for one in owed([event(1, stays=False), event(2)])]
    assert [] == owed([PROBE, event(1)])


@pytest.mark.parametrize(
    ("told", "numbers", "finding"),
    [
        ("a", [1], ""),
        ("b", [1], "told with a 202 and not in the outbox"),
        ("a", [], "owed and not in the outbox"),
        ("a", [1, 9], "in the outbox and sent by nobody who may"),
        ("a", [1, 1], "in the outbox more than once"),
    ],
)
def test_the_account_tells_what_is_lost_and_what_is_invented(
    told: str, numbers: list[int], finding: str
) -> None:
    account = Account()
    account.sent([event(1), REFUSED])
    account.answered(b'HTTP/1.1 202 \r\nContent-Length: 10\r\n\r\n{"id":"%b"}' % told.encode(), [])
    account.settle([row(number) for number in numbers], [])

    assert any(finding in one for one in account.findings) == bool(finding)
    assert bool(account.findings) == bool(finding)


def test_answers_are_read_one_after_the_other() -> None:
    whole = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 A\r\nContent-Length: 2\r\n\r\n{}"
    answers = whole + b"HTTP/1.1 200 B\r\ncontent-length: 9\r\n\r\n{"

    assert [(202, b"{}")] == list(read_answers(answers))
