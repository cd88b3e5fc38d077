"""The checker itself, on histories made by hand: each breaks one promise, once."""

from typing import Any

import msgspec
import pytest
from tests.faults.checker import QUESTIONS, Verdict, check
from tests.faults.records import (
    EVERYTHING,
    QUARANTINE,
    UNROUTABLE,
    Attempt,
    Binding,
    Case,
    Confirm,
    Delivery,
    Disruption,
    FaultBand,
    GivenUp,
    History,
)

NARROW = "classes"


def call(ordinal: int, **changes: Any) -> Attempt:
    """Make an answered call of entity 7's events; its body's digest is `d1` for the first."""
    made = Attempt(
        kind="event",
        source="contoso",
        trigger="class",
        entity=7,
        ordinal=ordinal,
        status="scheduled",
        digest=f"d{ordinal}",
        number=1,
        sent_at=float(ordinal),
        answered_at=ordinal + 0.1,
        code=202,
        id=f"e{ordinal}",
        outcome="accepted",
    )
    return msgspec.structs.replace(made, **changes)


def delivery(ordinal: int, position: int, **changes: Any) -> Delivery:
    made = Delivery(
        queue=EVERYTHING,
        message_id=f"e{ordinal}",
        digest=f"d{ordinal}",
        content=f"d{ordinal}",
        routing_key="tms.class.scheduled",
        redelivered=False,
        at=position + 0.5,
        position=position,
    )
    return msgspec.structs.replace(made, **changes)


def history(**changes: Any) -> History:
    """Return a history in which all is well: two events of one entity on two queues, one bad body."""
    whole = History(
        attempts=[call(1), call(2), bad_call(1), bad_call(2)],
        deliveries=[
            delivery(1, 1),
            delivery(2, 2),
            delivery(1, 1, queue=NARROW),
            delivery(2, 2, queue=NARROW),
            bad_delivery(),
        ],
        cases=[Case(id="q9", trigger="class", digest="d9", seen=2)],
        bindings=[Binding(NARROW, "tms.class.*"), Binding(EVERYTHING, "tms.#")],
    )
    return msgspec.structs.replace(whole, **changes)


def bad_call(number: int, **changes: Any) -> Attempt:
    """Make a call with a body that is no event."""
    bad = {"kind": "undecodable", "entity": -9, "digest": "d9", "id": "q9", "code": 422, "number": number}
    return call(1, **{**bad, "sent_at": 5.0 + number, "answered_at": 5.1 + number, **changes})


def bad_delivery(**changes: Any) -> Delivery:
    return delivery(9, 1, **{"queue": QUARANTINE, "message_id": "q9", "routing_key": "", **changes})


def wrong(verdict: Verdict) -> dict[str, int]:
    """Count what is wrong, by question."""
    return {question: len(verdict.of(question)) for question in QUESTIONS if verdict.of(question)}


def without(
    deliveries: list[Delivery], *, queue: str | None = None, message_id: str = "e2"
) -> list[Delivery]:
    return [
        each
        for each in deliveries
        if each.message_id != message_id or (queue is not None and each.queue != queue)
    ]


def test_a_whole_history_passes() -> None:
    verdict = check(history())
    assert verdict.violations == []
    assert (verdict.counts.events, verdict.counts.accepted, verdict.counts.undecodable) == (2, 2, 1)


def test_an_accepted_event_that_reached_no_queue_is_missing() -> None:
    whole = history()
    assert wrong(check(history(deliveries=without(whole.deliveries)))) == {"missing": 1}


def test_an_event_on_the_unroutable_queue_alone_is_not_missing() -> None:
    deliveries = [*without(history().deliveries), delivery(2, 1, queue=UNROUTABLE)]
    assert wrong(check(history(deliveries=deliveries))) == {}


def test_an_event_that_one_of_its_queues_did_not_get_is_partly_missing() -> None:
    deliveries = without(history().deliveries, queue=NARROW)
    assert wrong(check(history(deliveries=deliveries))) == {"partly-missing": 1}


def test_a_queue_may_miss_what_came_while_the_topology_was_disturbed() -> None:
    deliveries = without(history().deliveries, queue=NARROW)
    band = FaultBand(name="no-queue", began=2.4, ended=2.6, topology=True)
    assert wrong(check(history(deliveries=deliveries, bands=[band]))) == {}


@pytest.mark.parametrize(("confirmed_at", "found"), [(-4.5, {}), (2.0, {"partly-missing": 1})])
def test_what_was_routed_then_may_come_late_from_a_consumer_that_lags(
    confirmed_at: float, found: dict[str, int]
) -> None:
    deliveries = without(history().deliveries, queue=NARROW)
    band = FaultBand(name="no-queue", began=-5.0, ended=-4.0, topology=True)
    confirms = [Confirm(id="e2", at=confirmed_at), Confirm(id="e1", at=-4.5)]
    assert wrong(check(history(deliveries=deliveries, bands=[band], confirms=confirms))) == found


def test_a_later_event_that_came_first_breaks_the_order() -> None:
    deliveries = history().deliveries
    swapped = [delivery(2, 1, queue=NARROW), delivery(1, 2, queue=NARROW)]
    kept = [each for each in deliveries if each.queue != NARROW]
    assert wrong(check(history(deliveries=[*kept, *swapped]))) == {"order": 1}


def test_what_the_broker_gave_before_may_come_late_but_nothing_may_overtake_it_early() -> None:
    kept = [each for each in history().deliveries if each.queue != NARROW]
    late = [delivery(2, 1, queue=NARROW), delivery(1, 2, queue=NARROW, redelivered=True)]
    assert wrong(check(history(deliveries=[*kept, *late]))) == {}
    later = [late[0], msgspec.structs.replace(late[1], connection=2)]  # perhaps given first behind the other
    assert wrong(check(history(deliveries=[*kept, *later]))) == {"order": 1}
    early = [delivery(2, 1, queue=NARROW, redelivered=True), delivery(1, 2, queue=NARROW)]
    assert wrong(check(history(deliveries=[*kept, *early]))) == {"order": 1}


def test_what_an_operator_sent_again_has_no_place_in_the_order() -> None:
    deliveries = history().deliveries
    swapped = [delivery(2, 1, queue=NARROW), delivery(1, 2, queue=NARROW, replayed=True)]
    kept = [each for each in deliveries if each.queue != NARROW]
    assert wrong(check(history(deliveries=[*kept, *swapped]))) == {}


def test_a_copy_that_nothing_explains_is_one_too_many() -> None:
    deliveries = [*history().deliveries, delivery(1, 3)]
    assert wrong(check(history(deliveries=deliveries))) == {"copies": 1}


def test_a_copy_is_explained_by_an_outcome_lost_before_it_and_not_after() -> None:
    deliveries = [*history().deliveries, delivery(1, 3)]
    before, after = (Disruption(cause="loss", at=at, ids=["e1"]) for at in (3.0, 4.0))
    assert wrong(check(history(deliveries=deliveries, disruptions=[before]))) == {}
    assert wrong(check(history(deliveries=deliveries, disruptions=[after]))) == {"copies": 1}


def test_one_lost_outcome_explains_one_copy() -> None:
    deliveries = [*history().deliveries, delivery(1, 3), delivery(1, 4)]
    loss = Disruption(cause="loss", at=3.0, ids=["e1"])
    assert wrong(check(history(deliveries=deliveries, disruptions=[loss]))) == {"copies": 1}


def test_a_confirm_that_was_perhaps_not_read_explains_a_copy_and_adds_to_no_sum() -> None:
    deliveries = [*history().deliveries, delivery(1, 3)]
    loss = Disruption(cause="loss", at=3.0, ids=[], unread=["e1"])
    verdict = check(history(deliveries=deliveries, disruptions=[loss]))
    assert wrong(verdict) == {}
    assert verdict.counts.copies_allowed == 0


def test_one_lost_outcome_explains_no_copy_of_another_event() -> None:
    deliveries = [*history().deliveries, delivery(1, 3)]
    loss = Disruption(cause="loss", at=3.0, ids=["e2"])
    assert wrong(check(history(deliveries=deliveries, disruptions=[loss]))) == {"copies": 1}


def test_what_the_broker_gives_again_is_no_copy() -> None:
    deliveries = [*history().deliveries, delivery(1, 3, redelivered=True)]
    assert wrong(check(history(deliveries=deliveries))) == {}


def test_a_second_id_needs_a_call_that_was_not_answered_in_full() -> None:
    other = [delivery(1, 3, message_id="x1"), delivery(1, 3, message_id="x1", queue=NARROW)]
    deliveries = [*history().deliveries, *other]
    assert wrong(check(history(deliveries=deliveries))) == {"second-ids": 1}
    attempts = [call(1, code=None, id=None, error="aborted"), call(1, number=2), *history().attempts[1:]]
    assert wrong(check(history(deliveries=deliveries, attempts=attempts))) == {}
    refused = [call(1, code=503, id=None), call(1, number=2), *history().attempts[1:]]
    assert wrong(check(history(deliveries=deliveries, attempts=refused))) == {"second-ids": 1}


def test_a_call_that_ended_before_any_answer_was_possible_gives_no_second_id() -> None:
    other = [delivery(1, 3, message_id="x1"), delivery(1, 3, message_id="x1", queue=NARROW)]
    aborted = call(1, code=None, id=None, error="aborted", answered_at=1.01)
    whole = history(
        deliveries=[*history().deliveries, *other],
        attempts=[aborted, call(1, number=2), *history().attempts[1:]],
        bands=[FaultBand(name="slow-disk", began=0.2, ended=2.0, answers_take_s=0.15)],
    )
    assert wrong(check(whole)) == {"second-ids": 1}


def test_a_retry_of_what_is_durable_is_answered_at_once_on_a_slow_disk_too() -> None:
    other = [delivery(1, 3, message_id="x1"), delivery(1, 3, message_id="x1", queue=NARROW)]
    late = call(1, code=503, id=None)
    aborted = call(1, number=2, code=None, id=None, error="aborted", answered_at=1.01)
    whole = history(
        deliveries=[*history().deliveries, *other],
        attempts=[late, aborted, call(1, number=3), *history().attempts[1:]],
        bands=[FaultBand(name="slow-disk", began=0.2, ended=2.0, answers_take_s=0.15)],
    )
    assert wrong(check(whole)) == {}


def test_without_a_disk_a_refused_call_may_have_been_delivered_too() -> None:
    deliveries = [*history().deliveries, delivery(1, 3, message_id="x1")]
    attempts = [call(1, code=503, id=None), call(1, number=2), *history().attempts[1:]]
    deliveries.append(delivery(1, 3, message_id="x1", queue=NARROW))
    assert wrong(check(history(deliveries=deliveries, attempts=attempts, outbox=False))) == {}


def test_two_real_events_with_one_id_are_one_swallowed() -> None:
    repeat = call(3, kind="repeat", digest="d2", id="e2", outcome="duplicate")
    assert wrong(check(history(attempts=[*history().attempts, repeat]))) == {"swallowed": 1}


def test_two_real_events_with_equal_bodies_have_two_ids() -> None:
    repeat = call(3, kind="repeat", digest="d1", id="e3")
    again = [delivery(1, 3, message_id="e3"), delivery(1, 3, message_id="e3", queue=NARROW)]
    whole = history(attempts=[*history().attempts, repeat], deliveries=[*history().deliveries, *again])
    assert wrong(check(whole)) == {}


def test_what_nobody_sent_is_invented() -> None:
    deliveries = [*history().deliveries, delivery(8, 3)]
    assert wrong(check(history(deliveries=deliveries))) == {"invented": 1}


@pytest.mark.parametrize("changes", [{"content": "d8"}, {"routing_key": "tms.class.unknown"}])
def test_another_payload_or_key_than_what_was_sent_is_changed(changes: dict[str, str]) -> None:
    deliveries = [delivery(1, 1, **changes), *history().deliveries[1:]]
    assert wrong(check(history(deliveries=deliveries))) == {"changed": 1}


def test_an_undecodable_body_among_the_events_is_changed() -> None:
    deliveries = [*history().deliveries, bad_delivery(queue=EVERYTHING)]
    assert wrong(check(history(deliveries=deliveries))) == {"changed": 1}


def test_an_undecodable_body_must_not_be_accepted() -> None:
    attempts = [*history().attempts[:2], bad_call(1), bad_call(2, code=202)]
    assert wrong(check(history(attempts=attempts))) == {"quarantine": 1}


@pytest.mark.parametrize(
    "cases",
    [
        [],
        [
            Case(id="q9", trigger="class", digest="d9", seen=2),
            Case(id="qx", trigger="class", digest="d9", seen=1),
        ],
        [Case(id="qx", trigger="class", digest="d9", seen=2)],
        [Case(id="q9", trigger="class", digest="d9", seen=1)],
        [Case(id="q9", trigger="class", digest="d9", seen=3)],
    ],
    ids=["no row", "two rows", "another row", "seen too seldom", "seen too often"],
)
def test_an_undecodable_body_has_one_row_with_its_count(cases: list[Case]) -> None:
    assert wrong(check(history(cases=cases))) == {"quarantine": 1}


def test_a_kill_may_lose_what_was_counted_last() -> None:
    cases = [Case(id="q9", trigger="class", digest="d9", seen=1)]
    kill = Disruption(cause="kill", at=6.5, ids=[])
    assert wrong(check(history(cases=cases, disruptions=[kill]))) == {}


def test_an_undecodable_body_needs_its_copy_on_the_bus() -> None:
    assert wrong(check(history(deliveries=history().deliveries[:-1]))) == {"quarantine": 1}


def given_up(**changes: Any) -> GivenUp:
    made = GivenUp(
        kind="event", trigger="class", entity=8, ordinal=1, digest="d8", first_sent_at=10.0, at=25.0
    )
    return msgspec.structs.replace(made, **changes)


def refused_calls() -> list[Attempt]:
    """Make two calls of an event that is given up, at 10 and 25 s."""
    first = call(1, entity=8, digest="d8", code=503, id=None, sent_at=10.0, answered_at=10.1)
    error = {"code": None, "error": "ClientConnectorError"}
    last = msgspec.structs.replace(first, number=2, sent_at=24.0, answered_at=25.0, **error)
    return [*history().attempts, first, last]


def test_nothing_is_given_up_while_there_is_room() -> None:
    verdict = check(history(given_up=[given_up()], attempts=refused_calls()))
    assert wrong(verdict) == {"given-up": 1}
    (told,) = verdict.of("given-up")
    assert told.detail.endswith("25.000: 503 at 10.000 in 0.100 s, ClientConnectorError at 24.000 in 1.000 s")


def test_what_came_while_there_was_no_room_may_be_given_up() -> None:
    band = FaultBand(name="disk-full", began=11.0, ended=13.9, may_give_up=True)
    later = msgspec.structs.replace(band, ended=14.1)
    whole = history(given_up=[given_up()], attempts=refused_calls(), bands=[band])
    assert wrong(check(whole)) == {"given-up": 1}  # no call of it met the fault, or its last seconds
    assert wrong(check(msgspec.structs.replace(whole, bands=[later]))) == {}


def test_a_body_that_is_no_event_is_always_given_up() -> None:
    assert wrong(check(history(given_up=[given_up(kind="undecodable")]))) == {}


@pytest.mark.parametrize(("step_s", "found"), [(0.0, {}), (30.0, {}), (-0.001, {"clock": 1})])
def test_received_at_never_falls_from_one_event_of_an_entity_to_the_next(
    step_s: float, found: dict[str, int]
) -> None:
    noon = 1_800_000_000.0
    deliveries = [*without(history().deliveries), delivery(2, 2, received_at=noon + step_s)]
    deliveries += [delivery(2, 2, queue=NARROW, received_at=noon + step_s)]
    deliveries[0] = msgspec.structs.replace(deliveries[0], received_at=noon)
    deliveries[1] = msgspec.structs.replace(deliveries[1], received_at=noon)
    assert wrong(check(history(deliveries=deliveries))) == found


def test_beside_a_greedy_source_nothing_of_another_one_is_refused() -> None:
    band = FaultBand(name="greedy-source", began=6.0, ended=12.0, spares_others=True)
    later = msgspec.structs.replace(band, began=8.0)  # so soon, the fault before it may be why
    whole = history(attempts=refused_calls(), bands=[band])
    assert wrong(check(whole)) == {"shares": 1}
    assert wrong(check(msgspec.structs.replace(whole, bands=[later]))) == {}
