"""The window against an adversary: nothing is lost, overtaken or in flight twice."""

import itertools
from collections import Counter
from unittest import mock

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from tms_bridge.calls import Calls
from tms_bridge.errors import PublisherClosed
from tms_bridge.message import UNROUTABLE_EXCHANGE, Kind, Message, Outcome
from tms_bridge.metrics import PublishMetrics
from tms_bridge.outbox.contract import OutboxEntry
from tms_bridge.relay import cursors
from tms_bridge.relay import window as window_module
from tms_bridge.relay.lanes import LONGEST_DELAY_S, Parcel
from tms_bridge.relay.window import Window

EXCHANGE = "tms.events"
RESET = PublisherClosed("reset")


_ids = itertools.count()


def message(
    entity: str, key: str = "tms.class.scheduled", kind: Kind = Kind.EVENT, body: bytes = b"{}"
) -> Message:
    return Message(
        id=f"id-{next(_ids)}",
        kind=kind,
        source="contoso",
        trigger="class",
        status=key.rpartition(".")[2],
        routing_key=key,
        entity=entity,
        received_at_us=0,
        digest="",
        traceparent="",
        body=body,
    )


class Shelf:
    """An outbox in memory, which remembers what was taken away."""

    def __init__(self) -> None:
        self.rows: dict[int, Message] = {}
        self.settled: list[int] = []
        self.refused: dict[int, str] = {}
        self.last_seq = 0

    def add(self, *messages: Message) -> list[int]:
        seqs = list(range(self.last_seq + 1, self.last_seq + 1 + len(messages)))
        self.last_seq += len(messages)
        self.rows.update(zip(seqs, messages, strict=True))
        return seqs

    def after(self, cursor: int, limit: int) -> list[OutboxEntry]:
        return [OutboxEntry(seq, row) for seq, row in self.rows.items() if seq > cursor][:limit]

    async def page(self, after: int, limit: int, *, wait: bool = True) -> list[OutboxEntry]:  # noqa: ARG002
        return self.after(after, limit)

    leaving = 0

    def settle(self, seq: int) -> None:
        del self.rows[seq]
        self.settled.append(seq)

    def refuse(self, seq: int, reason: str) -> None:
        del self.rows[seq]
        self.refused[seq] = reason


class Bench:
    """A window over a shelf, driven by hand."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        metrics = PublishMetrics(CollectorRegistry())
        self.window = Window(self.shelf, metrics, Calls(), EXCHANGE, jitter=lambda: 1.0)
        self.now = 0.0

    def load(self) -> None:
        """Load what there is room for: what is to be read again first."""
        window = self.window
        while window.appetite and (self.look(again=window.cursors.back is not None) or window.cursors.back):
            pass

    def look(self, limit: int = 50, *, again: bool = False) -> bool:
        """Load a page of the front, or of the back; false: it was empty."""
        page = self.ask(limit, again=again)
        self.window.load(page, again=again)
        return bool(page)

    def ask(self, limit: int, *, again: bool) -> list[OutboxEntry]:
        """Return the next page of the front, or of the back."""
        cursors = self.window.cursors
        after = cursors.back if again else cursors.front
        assert after is not None
        return self.shelf.after(after, min(limit, self.window.appetite))

    def take(self, count: int = 1000) -> list[int]:
        """Load and publish; the seqs that went out."""
        self.load()
        self.window.wake(self.now)
        parcels = itertools.takewhile(
            lambda p: p is not None, (self.window.take(self.now) for _ in range(count))
        )
        return [parcel.seq for parcel in parcels if parcel is not None]

    def drop(self, seq: int) -> None:
        del self.shelf.rows[seq]
        self.window.decide(seq, self.now, gone=True)

    def note(self, *outcomes: tuple[int, Outcome]) -> None:
        for seq, outcome in outcomes:
            self.window.note(seq, outcome, self.now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_messages_of_one_entity_leave_one_after_the_other(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2"), message("1"))
    assert bench.take() == [1, 2]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [3]
    assert bench.shelf.settled == [1]


def test_two_messages_of_one_id_are_never_in_flight_together(bench: Bench) -> None:
    copy = message("", kind=Kind.QUARANTINE)
    replayed = msgspec.structs.replace(copy, kind=Kind.EVENT, entity="1", replayed=True)
    bench.shelf.add(copy, replayed, message("2"))
    assert bench.take() == [1, 3]
    bench.window.lost(RESET, bench.now)
    assert bench.take() == [1, 3]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [2]
    bench.note((2, Outcome.CONFIRMED), (3, Outcome.CONFIRMED))
    assert bench.window.empty


def test_what_an_operator_drops_is_not_published_and_its_entity_goes_on(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("1"), message("1"))
    assert bench.take() == [1]
    assert [bench.window.withhold(seq) for seq in (1, 2, 99)] == [False, True, True]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == []  # whether 2 is dropped is not decided yet, and 3 may not overtake it
    bench.drop(2)
    assert bench.take() == [3]
    assert bench.shelf.settled == [1]


def test_a_drop_that_fails_leaves_the_message_in_its_place(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("1"), message("2"))
    assert all(bench.window.withhold(seq) for seq in (1, 3))
    assert bench.take() == []
    bench.window.decide(1, bench.now, gone=False)
    bench.window.decide(3, bench.now, gone=False)
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [3]
    bench.note((3, Outcome.CONFIRMED))
    assert bench.take() == [2]


def test_what_waits_behind_another_is_dropped_when_its_turn_comes(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("1"), message("1"))
    assert bench.take() == [1]
    assert bench.window.withhold(2)
    bench.drop(2)
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [3]


def test_a_page_on_its_way_may_still_show_what_was_dropped(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("1"))
    page = bench.shelf.after(0, 10)
    assert bench.window.withhold(1)
    bench.drop(1)
    bench.window.load(page)
    assert bench.take() == [2]


def test_a_probe_that_is_dropped_opens_its_key(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2"))
    assert bench.take() == [1, 2]
    bench.note((1, Outcome.NACKED), (2, Outcome.NACKED))
    assert bench.window.withhold(1)
    bench.now = 60.0
    assert bench.take() == []
    bench.drop(1)
    assert bench.take() == [2]


def test_a_probe_whose_drop_fails_is_asked_again(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2"))
    assert bench.take() == [1, 2]
    bench.note((1, Outcome.NACKED), (2, Outcome.NACKED))
    assert bench.window.withhold(1)
    bench.now = 60.0
    assert bench.take() == []
    bench.window.lost(RESET, bench.now)
    assert bench.take() == []
    bench.window.decide(1, bench.now, gone=False)
    assert bench.take() == [1]


def test_a_suspect_that_is_dropped_is_not_tried_again(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2"))
    assert bench.take() == [1, 2]
    bench.window.lost(PublisherClosed("closed", by_message=True, code=501), bench.now)
    assert bench.window.withhold(1)
    assert bench.take() == [2]
    bench.note((2, Outcome.CONFIRMED))
    bench.window.decide(1, bench.now, gone=False)
    assert bench.take() == [1]


def test_a_nack_holds_its_entity_and_its_key_but_nothing_else(bench: Bench) -> None:
    bench.shelf.add(
        message("1"), message("2", "tms.class.denied"), message("1", "tms.class.denied"), message("3")
    )
    assert bench.take() == [1, 2, 4]
    bench.note((1, Outcome.NACKED), (2, Outcome.CONFIRMED), (4, Outcome.CONFIRMED))
    bench.shelf.add(message("5"), message("6", "tms.class.denied"))
    assert bench.take() == [6]
    bench.now = 0.5
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [3, 5]


def test_a_probe_is_asked_ever_more_rarely_but_at_least_every_thirty_seconds(bench: Bench) -> None:
    bench.shelf.add(message("1"))
    delays = []
    for _ in range(10):
        assert bench.take() == [1]
        bench.note((1, Outcome.NACKED))
        delays.append(bench.window.next_due - bench.now)
        bench.now = bench.window.next_due
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_many_nacks_of_one_key_leave_one_probe(bench: Bench) -> None:
    bench.shelf.add(*(message(str(entity)) for entity in range(20)))
    sent = bench.take()
    bench.note(*((seq, Outcome.NACKED) for seq in sent))
    bench.now = 10
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == list(range(2, 21))


def test_a_returned_event_goes_to_the_unroutable_exchange_and_is_settled_there(bench: Bench) -> None:
    bench.shelf.add(message("1"))
    assert bench.take() == [1]
    bench.note((1, Outcome.RETURNED))
    parcel = bench.window.take(0)
    assert parcel is not None
    assert (parcel.seq, parcel.exchange) == (1, UNROUTABLE_EXCHANGE)
    assert bench.shelf.settled == []
    bench.note((1, Outcome.CONFIRMED))
    assert bench.shelf.settled == [1]


def test_what_even_the_unroutable_exchange_returns_waits(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2"))
    bench.take()
    bench.note((1, Outcome.RETURNED), (2, Outcome.CONFIRMED))
    assert bench.take() == [1]
    bench.note((1, Outcome.RETURNED))
    assert bench.take() == []
    bench.now = 1
    assert bench.take() == [1]
    assert list(bench.shelf.rows) == [1]


def test_a_returned_quarantine_copy_waits(bench: Bench) -> None:
    bench.shelf.add(message("", kind=Kind.QUARANTINE))
    bench.take()
    bench.note((1, Outcome.RETURNED))
    assert bench.take() == []
    assert list(bench.shelf.rows) == [1]


def test_what_cannot_be_encoded_is_parked_and_its_entity_goes_on(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("1"))
    bench.take()
    bench.note((1, Outcome.REFUSED))
    assert list(bench.shelf.refused) == [1]
    assert bench.take() == [2]


def test_a_lost_connection_sends_all_again_in_order(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2"), message("3"), message("1"))
    assert bench.take() == [1, 2, 3]
    bench.note((2, Outcome.CONFIRMED))
    bench.window.lost(RESET, 0)
    assert bench.take() == [1, 3]


def test_the_culprit_among_several_is_found_and_parked(bench: Bench) -> None:
    bench.shelf.add(*(message(str(entity)) for entity in range(4)))
    bench.take(3)
    bench.window.lost(PublisherClosed("too big", by_message=True, code=406), 0)
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [2]
    bench.window.lost(PublisherClosed("too big", by_message=True, code=406), 0)
    assert bench.shelf.refused == {2: "too big"}
    assert bench.take() == [3]
    bench.note((3, Outcome.CONFIRMED))
    assert bench.take() == [4]


def test_a_missing_exchange_parks_nothing_and_stops_only_its_own(bench: Bench) -> None:
    bench.shelf.add(message("", kind=Kind.QUARANTINE), message("2"))
    bench.take()
    missing = PublisherClosed("no exchange", by_message=True, code=404)
    bench.window.lost(missing, 0)
    assert bench.take() == [1]
    bench.window.lost(missing, 0)
    assert bench.take() == [2]
    bench.note((2, Outcome.CONFIRMED))
    bench.shelf.add(message("3"))
    assert bench.take() == [3]
    bench.now = 1
    assert bench.take() == [], "a probe that may close the channel waits until nothing is in flight"
    bench.note((3, Outcome.CONFIRMED))
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.shelf.refused == {}


def test_a_missing_events_exchange_is_found_without_suspecting_anybody(bench: Bench) -> None:
    bench.shelf.add(*(message(str(entity)) for entity in range(3)))
    bench.take()
    bench.window.lost(PublisherClosed("no exchange", by_message=True, code=404), 0)
    assert bench.take() == []
    bench.now = 1
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [2, 3]


def test_a_missing_permission_parks_nothing(bench: Bench) -> None:
    bench.shelf.add(message("1"))
    bench.take()
    bench.window.lost(PublisherClosed("refused", by_message=True, code=403), 0)
    assert bench.take() == []
    bench.now = 1
    assert bench.take() == [1]


MISSING = PublisherClosed("no exchange", by_message=True, code=404)


def test_a_probe_that_meets_a_missing_exchange_asks_for_that_instead(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2", "tms.class.denied"))
    bench.take(1)
    bench.note((1, Outcome.NACKED))
    bench.now = 1
    bench.window.wake(bench.now)
    assert bench.take(1) == [1]
    bench.window.lost(MISSING, bench.now)
    assert bench.take() == []
    bench.now = 2
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [2]


def test_a_key_is_not_probed_while_its_exchange_is_missing(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2", "tms.class.denied"))
    assert bench.take() == [1, 2]
    bench.note((1, Outcome.NACKED))
    bench.window.lost(MISSING, bench.now)
    bench.now = 1
    assert bench.take() == [2]
    bench.note((2, Outcome.CONFIRMED))
    bench.now = 3
    assert bench.take() == [1]


def test_a_probe_of_a_key_that_is_late_for_a_missing_exchange_is_read_again(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2", "tms.class.denied"))
    assert bench.take() == [1, 2]
    bench.note((1, Outcome.NACKED))
    bench.now = 1
    bench.window.wake(bench.now)
    bench.window.lost(MISSING, bench.now)
    assert bench.take() == [1]
    bench.window.lost(MISSING, bench.now)
    assert bench.take() == []
    bench.now = 3
    assert bench.take() == [2]
    bench.note((2, Outcome.CONFIRMED))
    assert bench.take() == [1]


def test_the_window_is_bounded_in_messages(bench: Bench) -> None:
    bench.shelf.add(*(message("same") for _ in range(2000)))
    assert bench.take() == [1]
    assert bench.window.appetite == 0
    assert bench.window.cursors.front == window_module.MAX_PARCELS


def test_the_window_is_bounded_in_bytes(bench: Bench) -> None:
    body = b"x" * (1024 * 1024)
    bench.shelf.add(*(message("same", body=body) for _ in range(100)))
    bench.take()
    assert bench.window.appetite == 0
    assert bench.window.cursors.front < 100


def test_entries_of_a_blocked_key_do_not_fill_the_window(bench: Bench) -> None:
    bench.shelf.add(message("0"))
    bench.take()
    bench.note((1, Outcome.NACKED))
    bench.shelf.add(*(message(str(entity)) for entity in range(1, 3000)))
    last = bench.shelf.add(message("other", "tms.class.denied"))
    taken = [seq for _ in range(5) for seq in bench.take()]
    assert taken == last


def test_however_many_entities_a_full_queue_holds_up_the_other_keys_go_on(bench: Bench) -> None:
    """With the names of 100,000 entities remembered it looked at no more."""
    bench.shelf.add(message("0"))
    bench.take()
    bench.note((1, Outcome.NACKED))
    page = [OutboxEntry(seq, message(str(seq))) for seq in range(2, 120_002)]
    for start in range(0, len(page), 1000):
        bench.window.load(page[start : start + 1000])
        assert bench.window.take(bench.now) is None
    bench.window.load([OutboxEntry(120_002, message("other", "tms.class.denied"))])
    parcel = bench.window.take(bench.now)
    assert parcel is not None
    assert parcel.seq == 120_002
    assert bench.window.blocked == {"tms.class.scheduled": 120_000}


def test_a_line_that_is_taken_for_skipped_waits_until_a_lane_opens(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors, "SKIPPED_BITS", 8)  # all lines look alike
    bench.shelf.add(message("0"))
    bench.take()
    bench.note((1, Outcome.NACKED))
    bench.shelf.add(*(message(str(entity)) for entity in range(1, 20)))
    assert bench.take() == []
    last = bench.shelf.add(message("other", "tms.class.denied"))
    assert bench.take() == []
    bench.now = 100.0
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    assert bench.take() == [*range(2, 21), *last]


def test_what_is_new_does_not_wait_until_what_a_lane_held_up_is_read_again(bench: Bench) -> None:
    bench.shelf.add(message("0"))
    bench.take()
    bench.note((1, Outcome.NACKED))
    bench.shelf.add(*(message(str(entity)) for entity in range(1, 500)))
    assert bench.take() == []
    bench.now = 1.0
    bench.window.wake(bench.now)
    assert bench.window.take(bench.now) is not None
    bench.note((1, Outcome.CONFIRMED))
    new, behind = bench.shelf.add(message("other", "tms.class.denied"), message("400", "tms.class.denied"))
    assert bench.look(again=True)
    assert bench.look()
    taken = [parcel.seq for parcel in iter(lambda: bench.window.take(bench.now), None)]
    assert [*range(2, 52), new] == taken
    while bench.window.cursors.back is not None:
        bench.look(again=True)
    taken += [parcel.seq for parcel in iter(lambda: bench.window.take(bench.now), None)]
    assert behind not in taken, "its entity has an earlier one in flight"
    bench.note((401, Outcome.CONFIRMED))
    assert [behind] == bench.take()


def test_a_lane_that_opens_again_during_a_walk_sets_it_back(bench: Bench) -> None:
    bench.shelf.add(*(message(str(entity)) for entity in range(200)))
    assert 200 == len(bench.take())
    bench.note(*((seq, Outcome.NACKED) for seq in range(1, 201)))
    for now in (1.0, 10.0):
        bench.now = now
        bench.window.wake(bench.now)
        (probe,) = [parcel.seq for parcel in iter(lambda: bench.window.take(bench.now), None)]
        bench.note((probe, Outcome.CONFIRMED))
        assert bench.look(again=True)
        sent = [parcel.seq for parcel in iter(lambda: bench.window.take(bench.now), None)]
        assert [*range(probe + 1, probe + 51)] == sent
        bench.note(*((seq, Outcome.NACKED) for seq in sent))
        assert bench.window.blocked == {"tms.class.scheduled": 49}
    bench.now = 100.0
    assert [3] == bench.take()
    bench.note((3, Outcome.CONFIRMED))
    assert [*range(4, 201)] == bench.take()


def test_a_page_of_the_back_may_still_show_what_was_settled_ahead_of_it(bench: Bench) -> None:
    bench.shelf.add(message("1"), message("2"), message("3", "tms.class.denied"))
    assert bench.take() == [1, 2, 3]
    bench.note((1, Outcome.NACKED), (2, Outcome.NACKED))
    bench.now = 1.0
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    page = bench.ask(50, again=True)
    bench.note((3, Outcome.CONFIRMED))
    bench.window.load(page, again=True)
    assert bench.take() == [2]


def test_what_is_skipped_during_a_walk_is_not_overtaken_by_what_is_new(bench: Bench) -> None:
    bench.shelf.add(*(message(str(entity)) for entity in range(3)))
    assert bench.take() == [1, 2, 3]
    bench.note(*((seq, Outcome.NACKED) for seq in (1, 2, 3)))
    bench.now = 1.0
    assert bench.take() == [1]
    bench.note((1, Outcome.CONFIRMED))
    bench.shelf.add(message("7", "tms.class.denied"), message("8", "tms.class.denied"))
    bench.look()
    assert [4, 5] == [parcel.seq for parcel in iter(lambda: bench.window.take(bench.now), None)]
    bench.note((4, Outcome.NACKED), (5, Outcome.NACKED))
    bench.shelf.add(message("8", "tms.class.completed"), message("9", "tms.class.completed"))
    bench.look()
    assert [7] == [parcel.seq for parcel in iter(lambda: bench.window.take(bench.now), None)]
    assert bench.take() == [2, 3]
    assert bench.window.blocked == {"tms.class.denied": 1}
    bench.now = 10.0
    assert bench.take() == [4]
    bench.note((4, Outcome.CONFIRMED))
    assert bench.take() == [5]
    bench.note((5, Outcome.CONFIRMED))
    assert bench.take() == [6]


ENTITIES = st.sampled_from(["1", "2", "3", "4"])
KEYS = st.sampled_from(["tms.class.a", "tms.class.b", "tms.class.c"])


class Adversary(RuleBasedStateMachine):
    """Plays sender, broker and clock in any order; the rules of invariants 2, 3 and 8 hold throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.flying: dict[int, Parcel] = {}
        self.confirmed: Counter[int] = Counter()
        self.known: dict[int, Message] = {}
        self.blocked: set[str] = set()
        self.probes: dict[int, str] = {}
        self.dropping: set[int] = set()
        self.dropped: set[int] = set()
        self.page: tuple[bool, list[OutboxEntry]] | None = None
        self.rewinds = 0

    @initialize(bits=st.sampled_from([8, 64, cursors.SKIPPED_BITS]), crowd=st.integers(0, 4))
    def begin(self, bits: int, crowd: int) -> None:
        """A small bitmap takes many lines for skipped that are not; a crowd begins with a walk."""
        self.bitmap = mock.patch.object(cursors, "SKIPPED_BITS", bits)
        self.bitmap.start()
        metrics = PublishMetrics(CollectorRegistry())
        self.bench.window = Window(self.bench.shelf, metrics, Calls(), EXCHANGE, jitter=lambda: 0.5)
        for entity in "1234"[:crowd]:
            self.accept(entity, "tms.class.a")
        self.bench.load()
        self.publish(crowd)
        for seq in sorted(self.flying):
            self.resolved(seq, Outcome.NACKED)
        self.wait(LONGEST_DELAY_S)
        self.publish(1)
        for seq in sorted(self.flying):
            self.resolved(seq, Outcome.CONFIRMED)

    @rule(entity=ENTITIES, key=KEYS)
    def accept(self, entity: str, key: str) -> None:
        self._add(message(entity, key))

    @rule()
    def quarantine(self) -> None:
        self._add(message("", kind=Kind.QUARANTINE))

    def _add(self, row: Message) -> None:
        # Its id is the same each time: where its line falls in a small bitmap hangs on it, and what follows.
        row = msgspec.structs.replace(row, id=f"id-{len(self.known)}")
        (seq,) = self.bench.shelf.add(row)
        self.known[seq] = row

    @precondition(lambda self: self.page is None)
    @rule(limit=st.integers(1, 5), again=st.booleans())
    def ask(self, limit: int, again: bool) -> None:  # noqa: FBT001 - hypothesis draws it by name
        """Ask for a page, which may show by its arrival what has left in the meantime."""
        again = again and self.bench.window.cursors.back is not None
        self.page = again, self.bench.ask(limit, again=again)
        self.rewinds = self.bench.window.cursors.rewinds

    @precondition(lambda self: self.page is not None)
    @rule()
    def load(self) -> None:
        """A page arrives; one that was asked for before the back was set back is thrown away."""
        assert self.page is not None
        (again, page), self.page = self.page, None
        if self.bench.window.cursors.rewinds == self.rewinds:
            self.bench.window.load(page, again=again)

    @rule(room=st.integers(1, 6))
    def publish(self, room: int) -> None:
        window = self.bench.window
        window.wake(self.bench.now)
        for _ in range(room):
            parcel = window.take(self.bench.now)
            if parcel is None:
                return
            self._check(parcel)
            self.flying[parcel.seq] = parcel

    def _check(self, parcel: Parcel) -> None:
        line = parcel.message.order_key
        assert parcel.seq in self.bench.shelf.rows, "published what is settled or refused"
        assert parcel.seq not in self.flying, "published twice at once"
        assert parcel.seq not in self.dropping, "published while an operator drops it"
        assert line not in {other.message.order_key for other in self.flying.values()}, (
            "two of an entity in flight"
        )
        older = [
            seq for seq, row in self.bench.shelf.rows.items() if seq < parcel.seq and row.order_key == line
        ]
        assert older == [], "overtook an earlier one of its entity"
        key = parcel.message.routing_key
        if parcel.exchange == EXCHANGE and key in self.blocked:
            assert key not in self.probes.values(), "two probes of a key in flight"
            self.probes[parcel.seq] = key

    def _note_lane(self, parcel: Parcel, outcome: Outcome) -> None:
        probed = self.probes.pop(parcel.seq, None)
        if outcome is Outcome.NACKED and parcel.exchange == EXCHANGE:
            self.blocked.add(parcel.message.routing_key)
        elif probed is not None:
            self.blocked.discard(probed)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def resolve(self, data: st.DataObject, outcome: Outcome) -> None:
        self.resolved(data.draw(st.sampled_from(sorted(self.flying))), outcome)

    def resolved(self, seq: int, outcome: Outcome) -> None:
        self._note_lane(self.flying.pop(seq), outcome)
        if outcome is Outcome.CONFIRMED:
            self.confirmed[seq] += 1
        self.bench.note((seq, outcome))

    @rule(by_message=st.booleans(), code=st.sampled_from([None, 403, 404, 406]))
    def lose(self, by_message: bool, code: int | None) -> None:  # noqa: FBT001 - hypothesis draws it by name
        self.flying.clear()
        self.probes.clear()
        if by_message:  # which may move a probe to the lane of its exchange
            self.blocked.clear()
        self.bench.window.lost(PublisherClosed("lost", by_message=by_message, code=code), self.bench.now)

    @precondition(lambda self: set(self.bench.shelf.rows) - self.dropping)
    @rule(data=st.data())
    def withhold(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(set(self.bench.shelf.rows) - self.dropping)))
        withheld = self.bench.window.withhold(seq)
        assert withheld == (seq not in self.flying)
        if withheld:
            self.dropping.add(seq)

    @precondition(lambda self: self.dropping)
    @rule(data=st.data(), fails=st.booleans())
    def end_a_drop(self, data: st.DataObject, fails: bool) -> None:  # noqa: FBT001 - as above
        seq = data.draw(st.sampled_from(sorted(self.dropping)))
        self.dropping.discard(seq)
        if fails:
            self.bench.window.decide(seq, self.bench.now, gone=False)
        else:
            self.dropped.add(seq)
            self.blocked.discard(self.known[seq].routing_key)  # it may have been the probe
            self.bench.drop(seq)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.bench.now += seconds

    @invariant()
    def nothing_is_settled_without_a_confirm(self) -> None:
        assert set(self.bench.shelf.settled) <= set(self.confirmed)

    @invariant()
    def outstanding_is_what_is_in_flight(self) -> None:
        assert self.bench.window.outstanding == len(self.flying)

    def teardown(self) -> None:
        """Once the broker takes everything, everything arrives."""
        try:
            self._empty()
        finally:
            self.bitmap.stop()

    def _empty(self) -> None:
        for seq in self.dropping:
            self.bench.window.decide(seq, self.bench.now, gone=False)
        self.dropping.clear()
        if self.page is not None:
            self.load()
        for _ in range(4 * len(self.known) + 20):
            for seq in sorted(self.flying):
                self.resolved(seq, Outcome.CONFIRMED)
            self.bench.now += LONGEST_DELAY_S
            self.bench.load()
            self.publish(1000)
        assert self.bench.shelf.rows == {}
        assert set(self.known) == {*self.bench.shelf.settled, *self.bench.shelf.refused, *self.dropped}


TestAdversary = Adversary.TestCase
TestAdversary.settings = settings(max_examples=300, stateful_step_count=50)


def test_a_key_that_gets_nothing_through_is_told_apart_from_one_that_is_full_at_times(
    bench: Bench,
) -> None:
    first, second = bench.shelf.add(message("a"), message("b"))
    bench.now = 5.0
    assert [first, second] == bench.take()
    bench.note((first, Outcome.NACKED))
    assert 5.0 == bench.window.unproven_since
    bench.now = bench.window.next_due
    assert [first] == bench.take()
    bench.note((first, Outcome.CONFIRMED))
    assert float("inf") == bench.window.unproven_since
    bench.note((second, Outcome.NACKED))
    assert float("inf") == bench.window.unproven_since  # full, for a probe has got through
    bench.window.lost(RESET, bench.now)
    assert bench.now == bench.window.unproven_since  # who knows, on another connection
