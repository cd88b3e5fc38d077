"""Retry recognition against a reference model: what was taken in, what was answered, what time it is."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.outbox.outboxes import (
    Clock,
    accept,
    answer,
    answer_held,
    answer_retry,
    event,
    killed,
    knows,
    on_disk,
    open_journal,
    quiet,
)

from tms_bridge.outbox import retries
from tms_bridge.outbox.rows import State

if TYPE_CHECKING:
    from tms_bridge.outbox.contract import Receipt

WINDOW_S = 120.0
DIGESTS = st.sampled_from(["a", "b", "c"])


@dataclass
class Known:
    """An event as the model sees it."""

    id: str
    digest: str
    taken_s: float
    answers: int = 0
    forgotten: bool = False
    place: str = "pending"


class Recognition(RuleBasedStateMachine):
    """TMS sends bodies, the bridge answers or fails to, time passes, the process dies and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.boot = 1
        self.generation = 0
        self.known: dict[str, Known] = {}
        self.failing: list[Receipt] = []
        self.directory = self.next_directory()
        self.open()

    def next_directory(self) -> Path:
        self.generation += 1
        return Path(self.temporary.name) / str(self.generation)

    def open(self) -> None:
        self.journal = self.runner.run(
            open_journal(self.directory, clock=self.clock, boot=f"boot-{self.boot}", window_s=WINDOW_S)
        )

    def unanswered(self, digest: str) -> list[Known]:
        return [
            one
            for one in self.known.values()
            if one.digest == digest
            and not one.answers
            and not one.forgotten
            and self.clock.now_s - one.taken_s <= WINDOW_S
        ]

    @rule(digest=DIGESTS, held=st.booleans(), fate=st.sampled_from(["answered", "failing", "lost"]))
    def a_body_comes(self, digest: str, held: bool, fate: str) -> None:  # noqa: FBT001 - hypothesis passes by name
        message = event(len(self.known) + 1, digest=digest)
        owed = self.unanswered(digest)
        assert bool(owed) == knows(self.journal, digest)
        receipt = self.runner.run((answer_held if held else answer)(self.journal, message))
        if owed:
            assert (owed[0].id, True) == (receipt.id, receipt.duplicate)
        else:
            assert (message.id, False) == (receipt.id, receipt.duplicate)
            place = "held" if held else "pending"
            self.known[message.id] = Known(message.id, digest, self.clock.now_s, place=place)
        self.known[receipt.id].answers += 1
        if fate == "failing":
            self.failing.append(receipt)
        elif fate == "lost":
            self.fail(receipt)

    @precondition(lambda self: self.failing)
    @rule(data=st.data())
    def the_failing_answer_fails(self, data: st.DataObject) -> None:
        self.fail(self.failing.pop(data.draw(st.integers(0, len(self.failing) - 1))))

    def fail(self, receipt: "Receipt") -> None:
        one = self.known[receipt.id]
        one.answers -= 1
        if not one.answers:  # where a later event of this body is still owed, that one stands for both
            one.forgotten = one.forgotten or self.unanswered(one.digest) != [one]
        self.runner.run(self.call(self.journal.unanswered, receipt))

    @rule(seconds=st.sampled_from([0.5, 59.0, 60.0, 61.0, 121.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule(data=st.data(), refused=st.booleans())
    def the_broker_answers(self, data: st.DataObject, refused: bool) -> None:  # noqa: FBT001 - as above
        pending = self.runner.run(self.journal.operators.rows([State.PENDING], with_body=True))
        if pending:
            row = data.draw(st.sampled_from(pending))
            if refused:
                self.runner.run(self.call(self.journal.refuse, row.seq, "no"))
            else:
                self.runner.run(self.call(self.journal.settle, row.seq))
            self.known[row.message.id].place = "refused" if refused else "gone"
            self.runner.run(quiet(self.journal))

    @rule()
    def it_restarts_in_good_order(self) -> None:
        self.runner.run(self.journal.close())
        self.lose_requests()
        self.open()

    @rule()
    def it_is_killed(self) -> None:
        copy = self.next_directory()
        self.directory = self.runner.run(killed(self.journal, self.directory, copy))
        self.lose_requests()
        self.open()

    @rule()
    def the_machine_restarts(self) -> None:
        self.it_is_killed_and(boot=self.boot + 1)

    def it_is_killed_and(self, boot: int) -> None:
        self.runner.run(self.journal.close())
        self.lose_requests()
        self.boot = boot
        for one in self.known.values():
            one.forgotten = True
        self.open()

    def lose_requests(self) -> None:
        """An answer that was under way at a restart counts as given."""
        self.failing.clear()

    async def call(self, method: object, *values: object) -> None:
        assert callable(method)
        method(*values)

    @invariant()
    def every_event_is_in_its_place(self) -> None:
        places: dict[str, list[str]] = {"pending": [], "refused": [], "held": []}
        for state in (State.PENDING, State.REFUSED, State.HELD):
            rows = self.runner.run(self.journal.operators.rows([state], with_body=True))
            places[state] = [row.message.id for row in rows]
        for place, ids in places.items():
            assert [one.id for one in self.known.values() if one.place == place] == ids

    @invariant()
    def totals_are_what_a_count_would_find(self) -> None:
        totals = self.runner.run(self.journal.status())
        size = self.runner.run(
            on_disk(
                self.journal,
                "SELECT coalesce(sum(length(message)), 0) FROM (SELECT message FROM pending UNION ALL "
                "SELECT message FROM refused UNION ALL SELECT message FROM quarantine)",
            )
        )
        assert [(totals.bytes + totals.held_bytes,)] == size

    def teardown(self) -> None:
        self.runner.run(self.journal.close())
        self.runner.close()
        self.temporary.cleanup()


async def test_more_unanswered_events_than_can_be_remembered_cost_the_oldest_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "MAX_RECEIPTS", 2)
    journal = await open_journal(tmp_path)
    for number, digest in enumerate("abc"):
        await accept(journal, event(number, digest=digest))
    assert [False, True, True] == [journal._receipts.find(digest) is not None for digest in "abc"]
    await journal.close()


TestRecognition = Recognition.TestCase
TestRecognition.settings = hypothesis_settings(max_examples=40, stateful_step_count=30, deadline=None)


async def test_a_retry_answered_after_a_restart_makes_the_next_equal_body_a_new_event(tmp_path: Path) -> None:
    clock = Clock()
    journal = await open_journal(tmp_path / "1", clock=clock)
    cut_off = await accept(journal, event(1, digest="a"))
    await answer_retry(journal, cut_off.digest)
    journal.unanswered(cut_off)  # now both its row and a receipt say that an answer is owed
    journal = await open_journal(await killed(journal, tmp_path / "1", tmp_path / "2"), clock=clock)
    retry = await accept(journal, event(2, digest="a"))
    assert (cut_off.id, True) == (retry.id, retry.duplicate)
    await answer_retry(journal, retry.digest)
    real = await accept(journal, event(3, digest="a"))
    await journal.close()
    assert (event(3).id, False) == (real.id, real.duplicate)
