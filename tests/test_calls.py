"""The list of calls against a plain model of what it should show."""

from hypothesis import given
from hypothesis import strategies as st

from tms_bridge.calls import FOLD_S, MAX_ADDRESSES, AnsweredCall, CallRow, Calls
from tms_bridge.message import Kind, Message, Messages


def call(at: float = 1_000.0, **parts: object) -> AnsweredCall:
    known = {
        "request_id": f"r{at}",
        "method": "POST",
        "path": "/webhooks/contoso/class-changed",
        "http_status": 202,
        "outcome": "accepted",
        "duration_ms": 2.0,
        "source": "contoso",
        "trigger": "class",
        "address": "203.0.113.7",
        "id": f"event-{at}",
    }
    return AnsweredCall(at=at, **{**known, **parts})  # type: ignore[arg-type]  # the parts are checked by the struct's tests


def refused(at: float, **parts: object) -> AnsweredCall:
    return call(at, **{"http_status": 401, "outcome": "unauthorized", "id": "", "detail": "wrong", **parts})


def message(event_id: str, body: bytes = b"{}") -> Message:
    parts = ("class", "scheduled", "tms.class.scheduled", "1", 1, "digest", "traceparent")
    return Message(event_id, Kind.EVENT, "contoso", *parts, body)


def test_an_event_waits_and_is_delivered() -> None:
    calls = Calls()
    row = calls.note(call(1_000.0, id="e"))
    assert row.fate is not None
    assert ("waiting", 1_000.002) == (row.fate.state, row.fate.committed)
    calls.delivered(message("e"), 1_000.003, 1_000.009)
    assert ("delivered", 1_000.003, 1_000.009) == (row.fate.state, row.fate.published, row.fate.confirmed)


def test_without_an_outbox_an_answered_event_is_a_delivered_one() -> None:
    row = Calls("broker").note(call(id="e"))
    assert row.fate is not None
    assert row.fate.state == "delivered"


def test_a_retry_shares_the_fate_of_its_event() -> None:
    calls = Calls()
    first = calls.note(call(1_000.0, id="e"))
    again = calls.note(call(1_001.0, id="e", outcome="duplicate"))
    calls.delivered(message("e"), 1_001.5, 1_002.0)
    assert [first, again] == calls.of_event("e")
    assert first.fate is again.fate
    assert first.changed > 1
    assert again.changed > first.changed


def test_an_event_that_no_queue_wanted_stays_unroutable_when_it_is_settled() -> None:
    calls = Calls()
    row = calls.note(call(id="e"))
    calls.told("e", "unroutable")
    calls.delivered(message("e"), 1_001.0, 1_002.0)
    assert row.fate is not None
    assert ("unroutable", 1_002.0) == (row.fate.state, row.fate.confirmed)


def test_what_the_relay_tells_of_an_event_of_a_former_process_is_no_matter() -> None:
    calls = Calls()
    calls.delivered(message("before the restart"), 1.0, 2.0)
    calls.told("before the restart", "refused", "too large")
    assert len(calls) == 0


def test_refusals_alike_are_one_row_that_moves_to_the_top() -> None:
    calls = Calls()
    calls.note(refused(1_000.0))
    calls.note(call(1_001.0))
    row = calls.note(refused(1_002.0))
    assert (2, 1_000.0, 1_002.0) == (row.count, row.first_at, row.call.at)
    assert [row.number] == [top.number for top in calls][:1]
    assert len(calls) == 2


def test_refusals_that_differ_are_rows_of_their_own() -> None:
    calls = Calls()
    others = ({"source": "fabrikam"}, {"address": "203.0.113.8"}, {"detail": "none"}, {"trigger": "x"})
    for at, parts in enumerate(({}, *others), 1_000):
        calls.note(refused(float(at), **parts))
    assert len(calls) == 5


def test_a_row_counts_for_an_hour() -> None:
    calls = Calls()
    calls.note(refused(1_000.0))
    calls.note(refused(1_001.0 + FOLD_S))
    assert [1, 1] == [row.count for row in calls]


def test_bodies_in_quarantine_fold_by_their_row() -> None:
    calls = Calls()
    for at in (1_000.0, 1_001.0):
        calls.note(call(at, outcome="quarantined", http_status=422, id="q"))
    calls.note(call(1_002.0, outcome="quarantined", http_status=422, id="other"))
    assert [1, 2] == [row.count for row in calls]


def test_many_strangers_share_a_row_that_counts_their_addresses() -> None:
    calls = Calls()
    for number in range(MAX_ADDRESSES + 30):
        calls.note(refused(1_000.0, source="", outcome="unknown_path", address=f"192.0.2.{number}"))
    assert MAX_ADDRESSES + 1 == len(calls)
    assert (30, MAX_ADDRESSES + 30) == (next(iter(calls)).count, next(iter(calls)).addresses)


def test_a_flood_forgets_the_oldest_and_leaves_nothing_behind() -> None:
    calls = Calls(max_rows=100)
    for number in range(1_000):
        calls.note(call(float(number + 1), id=f"e{number}"))
        calls.note(refused(float(number + 1), address=f"a{number}"))
    assert 100 == len(calls) == len(calls.since(0, 10_000))
    assert 50 == len(calls._by_event) == len(calls._folds)


def test_who_watches_sees_each_change_once_and_in_order() -> None:
    calls = Calls()
    calls.note(call(1.0, id="a"))
    calls.note(call(2.0, id="b"))
    seen = calls.change
    calls.delivered(message("a"), 2.0, 3.0)
    assert ["a"] == [row.call.id for row in calls.since(seen, 10)]
    assert [] == calls.since(calls.change, 10)
    assert ["b", "a"] == [row.call.id for row in calls.since(0, 10)]
    assert ["a"] == [row.call.id for row in calls.since(0, 1)]


def test_pages_go_on_where_the_last_ended() -> None:
    calls = Calls()
    for number in range(5):
        calls.note(call(float(number + 1), id=f"e{number}"))
    first = calls.select(_all, 2)
    assert ["e4", "e3"] == [row.call.id for row in first]
    assert ["e2", "e1"] == [row.call.id for row in calls.select(_all, 2, before=first[-1].number)]
    assert [] == calls.select(_all, 2, before=99)


def test_it_knows_who_has_sent_events_lately() -> None:
    calls = Calls()
    calls.note(call(1_000.0))
    assert calls.sent_for("203.0.113.7", "contoso", 999.0)
    assert not calls.sent_for("203.0.113.7", "contoso", 1_001.0)
    assert not calls.sent_for("203.0.113.7", "fabrikam", 999.0)


@given(st.lists(st.tuples(st.sampled_from(["event", "retry", "refused", "delivered"]), st.integers(0, 5))))
def test_every_history_leaves_the_newest_calls_with_their_counts(steps: list[tuple[str, int]]) -> None:
    calls = Calls(max_rows=8)
    for at, (step, which) in enumerate(steps, 1):
        match step:
            case "event":
                calls.note(call(float(at), id=f"e{which}"))
            case "retry":
                calls.note(call(float(at), id=f"e{which}", outcome="duplicate"))
            case "refused":
                calls.note(refused(float(at), address=f"a{which}"))
            case _:
                calls.delivered(message(f"e{which}"), at, at)
    rows = list(calls)
    assert len(rows) <= 8
    assert [row.call.at for row in rows] == sorted((row.call.at for row in rows), reverse=True)
    assert {row.number for row in rows} == {row.number for row in calls.since(0, 100)}
    assert all(row in rows for held in calls._by_event.values() for row in held)
    assert all(row in rows for row in calls._folds.values())


def _all(_row: CallRow) -> bool:
    return True


def test_a_webhook_knows_its_first_and_last_event_and_who_looked() -> None:
    calls = Calls()
    assert 0.0 == calls.hook("contoso", "class").last
    calls.note(call(1_000.0, outcome="looked", http_status=200, id="", address="198.51.100.20"))
    calls.note(call(1_001.0))
    calls.note(call(1_002.0))
    hook = calls.hook("contoso", "class")
    assert (1_001.0, 1_002.0) == (hook.first, hook.last)
    assert (1_000.0, "198.51.100.20") == (hook.looked, hook.looked_from)


def test_a_refusal_stands_until_its_address_brings_an_event() -> None:
    calls = Calls()
    row = calls.note(refused(1_000.0))
    calls.note(call(1_001.0, address="203.0.113.99"))
    assert row == calls.hook("contoso", "class").refused
    calls.note(call(1_002.0))
    assert calls.hook("contoso", "class").refused is None


def test_the_last_messages_are_kept_by_bytes() -> None:
    kept = Messages(max_bytes=2 * message("a", b"12345").memory_bytes)
    for event_id in ("a", "b", "b", "c"):
        kept.note(message(event_id, b"12345"))
    assert [None, "b", "c"] == [one and one.id for one in map(kept.find, ("a", "b", "c"))]
    kept.note(message("d", b"x" * 5_000))
    assert kept.find("d") is None


def test_the_shortest_messages_count_as_what_they_cost_in_memory() -> None:
    kept = Messages(max_bytes=1 << 20)
    for number in range(5_000):
        kept.note(message(str(number), b""))
    found = sum(kept.find(str(number)) is not None for number in range(5_000))
    assert 0 < found <= 1_024


def test_a_key_that_a_queue_takes_again_is_open_no_more() -> None:
    calls = Calls()
    for event_id, key in (("a", "tms.class.scheduled"), ("b", "tms.class.denied")):
        calls.note(call(id=event_id, routing_key=key))
        calls.told(event_id, "unroutable")
        calls.delivered(message(event_id), 1.0, 2.0)
    calls.note(call(id="c", routing_key="tms.class.scheduled"))
    calls.delivered(message("c"), 1.0, 2.0)
    assert ["b"] == [row.call.id for row in calls.open]
