"""The oracle over histories made by hand, and what the command says where nothing can be judged."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rabbitmq import Node
from tms_events import Event
from tms_events.__main__ import main
from tms_events.testing import make_event
from tms_events.torture.oracle import LESSONS, REMEDIES, judge
from tms_events.torture.ordeals import ORDEALS, name_of
from tms_events.torture.record import Fall, Record


class History:
    """What a consumer did, step by step."""

    def __init__(self, ordeal: str = "copies") -> None:
        self.record = Record()
        self.record.ordeal = ordeal

    def send(self, event: Event) -> int:
        number = self.record.send(event.id, event).number
        self.record.deliver(number)
        return number

    def say(self, event: Event, state: str | None = None) -> None:
        self.record.tell(json.dumps({"handled": event.id, "state": state}).encode())

    def ack(self, number: int) -> None:
        self.record.acknowledge(number)
        self.record.settle(number, "acked")

    def handle(self, event: Event, state: str | None = None) -> None:
        number = self.send(event)
        self.say(event, state)
        self.ack(number)

    def kinds(self, *, latest: bool = False) -> list[str]:
        return [finding.kind for finding in judge(self.record, latest=latest)]


def test_an_event_that_is_handled_said_and_acknowledged_is_right_and_so_is_a_silent_copy() -> None:
    history, event = History(), make_event("class")
    history.handle(event)
    history.ack(history.send(event))
    assert history.kinds() == []


def test_an_event_that_is_acknowledged_and_never_handled_is_lost() -> None:
    history, event = History("late"), make_event("class")
    history.ack(history.send(event))
    [finding] = judge(history.record)
    assert (finding.kind, finding.id, finding.remedy) == ("lost", event.id, LESSONS["lost", "late"])


def test_an_event_in_the_dead_letters_is_lost() -> None:
    history = History()
    number = history.send(make_event("class"))
    history.record.settle(number, "rejected")
    history.record.sent[number].buried = True
    [finding] = judge(history.record)
    assert (finding.kind, "dead letters" in finding.text) == ("lost", True)


def test_what_only_counts_as_the_latest_state_may_be_passed_over_or_come_twice() -> None:
    history, older, newer = History("late"), make_event("class"), make_event("class")
    history.handle(newer)
    history.say(newer)
    history.ack(history.send(older))
    assert history.kinds() == ["lost", "twice"]
    assert history.kinds(latest=True) == []


def test_the_newest_event_is_lost_also_where_only_the_latest_state_counts() -> None:
    history, older, newer = History("late"), make_event("class"), make_event("class")
    history.handle(older)
    history.ack(history.send(newer))
    assert history.kinds(latest=True) == ["lost"]


def test_an_acknowledgement_before_the_word_is_too_early() -> None:
    history, event = History(), make_event("class")
    number = history.send(event)
    history.ack(number)
    history.say(event)
    assert history.kinds() == ["acked-early"]


def test_a_line_that_lies_in_the_pipe_when_the_acknowledgement_comes_is_not_late() -> None:
    history, event = History(), make_event("class")
    history.record.listen = lambda: history.say(event)
    history.ack(history.send(event))
    assert history.kinds() == []


def test_what_was_in_hand_at_a_kill_may_have_been_handled_without_a_word() -> None:
    history, event = History(), make_event("class")
    number = history.send(event)
    history.record.end([number])
    history.record.deliver(number)
    history.ack(number)
    assert history.kinds() == []


def test_what_was_acknowledged_before_a_kill_and_never_handled_is_lost() -> None:
    history, event = History(), make_event("class")
    history.ack(history.send(event))
    history.record.end([])
    assert history.kinds() == ["lost"]


def test_what_is_handled_again_after_a_kill_was_handled_twice() -> None:
    history, event = History(), make_event("class")
    number = history.send(event)
    history.say(event)
    history.record.end([number])
    history.record.deliver(number)
    history.say(event)
    history.ack(number)
    assert history.kinds() == ["twice"]


def states(*, handled_before: bool, state: str) -> History:
    """Handle a newer event before or after an older one was sent, which then leaves this state."""
    history = History("late")
    older, newer = make_event("class", "requested"), make_event("class", "scheduled")
    if handled_before:
        history.handle(newer, "scheduled")
        number = history.send(older)
    else:
        number = history.send(older)
        history.handle(newer, "scheduled")
    history.say(older, state)
    history.ack(number)
    return history


def test_an_older_state_over_a_newer_one_is_overwritten() -> None:
    assert states(handled_before=True, state="requested").kinds() == ["overwritten"]
    assert states(handled_before=True, state="scheduled").kinds() == []


def test_of_events_in_hand_together_the_states_may_be_said_in_either_order() -> None:
    assert states(handled_before=False, state="requested").kinds() == []


def test_a_crash_is_told_once_with_the_event_in_hand_and_the_last_words() -> None:
    history = History()
    history.record.falls = [Fall(ordeal="copies", words="KeyError: 5", hand=["a", "b"])] * 2
    [finding] = judge(history.record)
    assert (finding.kind, finding.id, finding.text) == ("crashed", "a", "2 times: KeyError: 5")


def test_what_is_stuck_is_not_called_lost_too() -> None:
    history = History()
    number = history.send(make_event("class"))
    history.record.stuck.append(number)
    history.record.sent[number].abandoned = True
    assert history.kinds() == ["stuck"]


def test_poison_belongs_into_the_dead_letters_where_there_are_any() -> None:
    history = History("poison")
    number = history.record.send("an id", None).number
    history.record.settle(number, "acked")
    assert history.kinds() == ["not-dead-lettered"]
    assert judge(history.record, dead_letters=False) == []
    history.record.sent[number].buried = True
    assert history.kinds() == []


def test_other_lines_are_the_consumers_own_affair_and_unknown_ids_are_not() -> None:
    history = History()
    for line in (b"started", b"{}", b"{", b"\xff", b'{"level": "info"}', b'{"handled": 5}'):
        history.record.tell(line)
    assert history.kinds() == []
    history.record.tell(b'{"handled": "nobody", "more": 1}')
    assert history.kinds() == ["invented"]


def test_what_time_did_not_suffice_for_is_told_and_not_held_against_the_consumer() -> None:
    history = History("late")
    history.handle(make_event("class"))
    history.send(make_event("class"))
    history.record.give_up(["late", "replay"])
    assert [("not-reached", "late"), ("not-reached", "replay")] == [
        (finding.kind, finding.ordeal) for finding in judge(history.record)
    ]


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("tms_events.torture")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aio_pika", None)
    assert main(["torture", "--seed", "1", "--", "true"]) == 2
    assert "pip install 'tms-events[torture]'" in capsys.readouterr().err


def test_each_lesson_is_of_an_ordeal_and_of_a_kind() -> None:
    names = {name_of(ordeal) for ordeal in ORDEALS}
    assert [one for one in LESSONS if one[0] not in REMEDIES or one[1] not in names] == []


def test_the_page_lists_every_ordeal_and_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "torture.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert [*map(name_of, ORDEALS), *REMEDIES] == rows


def command(url: str, *program: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["torture", "--url", url, "--patience", "20", "--", *program]
    return subprocess.run(
        [sys.executable, "-m", "tms_events", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


SILENT = """
import os, pika, tms_events
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.queue_declare("q")
channel.queue_bind("q", tms_events.EXCHANGE, tms_events.CLASSES)
channel.basic_consume("q", lambda channel, method, properties, body: channel.basic_ack(method.delivery_tag))
channel.start_consuming()
"""


def used(node: Node, url: str) -> str:
    name = url.rpartition("/")[2]
    node.evaluate(
        f'rabbit_exchange:declare({{resource, <<"{name}">>, exchange, <<"tms.events">>}}, '
        "topic, true, false, false, [], <<>>)."
    )
    return url


@pytest.mark.parametrize(
    ("prepared", "program", "said"),
    [
        (lambda _, __: "amqp://127.0.0.1:1/", ("true",), "no broker at the URL"),
        (lambda _, url: url.replace("@", "wrong@"), ("true",), "no broker at the URL"),
        (used, ("true",), "has an exchange tms.events already"),
        (lambda _, url: url, ("no-such-program",), "reads no queue: [Errno 2]"),
        (
            lambda _, url: url,
            ("sh", "-c", "echo lost my way >&2"),
            "reads no queue: it ended with exit code 0: lost my way",
        ),
        pytest.param(
            lambda _, url: url,
            (sys.executable, "-c", SILENT),
            "says nothing; let it write a line",
            marks=pytest.mark.long,
        ),
    ],
)
def test_where_nothing_can_be_judged_it_says_what_is_missing(
    prepared: Callable[[Node, str], str], program: tuple[str, ...], said: str, rabbitmq: Node, vhost: str
) -> None:
    done = command(prepared(rabbitmq, vhost), *program)
    assert (2, "") == (done.returncode, done.stdout), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
