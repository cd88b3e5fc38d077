"""Since when things have been as they are, as it is noted from look to look."""

import time

import msgspec
from tests.admin.running import SOURCE, call

from tms_bridge.admin.context import BrokerState, BrokerStatus
from tms_bridge.bootstrap.standing import Onlooker, OnlookerParts, Reloads, SteadyStanding
from tms_bridge.calls import Calls
from tms_bridge.http.health import Health
from tms_bridge.outbox.rows import Stats
from tms_bridge.settings.model import Amqp, Outbox, Settings
from tms_bridge.words.saying import say

STATS = Stats(5, 500, None, 0, 0, 0, 0, 5, 1 << 30, "")


def full(reason: str) -> Stats:
    return msgspec.structs.replace(STATS, unavailable=reason)


def test_a_state_of_the_broker_counts_from_the_first_look_at_it() -> None:
    since = SteadyStanding()
    told = []
    states: tuple[BrokerState, ...] = ("down", "down", "up", "up", "blocked")
    for now, state in enumerate(states, 1):
        since.look(BrokerStatus(state, 0, []), STATS, now)
        told.append((since.broker, since.draining))
    assert [(1.0, None), (1.0, None), (3.0, 3.0), (3.0, 3.0), (5.0, None)] == told


def test_a_backlog_is_delivered_until_what_waits_is_on_its_way() -> None:
    since = SteadyStanding()
    since.look(BrokerStatus("down", 0, []), STATS, 1.0)
    since.look(BrokerStatus("up", 4, []), STATS, 2.0)
    assert 2.0 == since.draining
    since.look(BrokerStatus("up", 5, []), STATS, 3.0)
    assert since.draining is None


def test_a_broker_that_was_there_from_the_start_came_back_from_nowhere() -> None:
    since = SteadyStanding()
    since.look(BrokerStatus("up", 0, []), STATS, 1.0)
    assert since.draining is None


def test_a_full_outbox_counts_from_when_it_became_so() -> None:
    since = SteadyStanding()
    told = []
    for now, reason in ((1.0, ""), (2.0, "full"), (3.0, "fuller"), (4.0, ""), (5.0, "full")):
        since.look(BrokerStatus("up", 0, []), full(reason), now)
        told.append(since.full)
    assert [None, 2.0, 2.0, None, 5.0] == told


def test_a_disk_that_does_not_answer_is_told_apart_from_a_full_one() -> None:
    settings = Settings(amqp=Amqp(urls=("amqp://h/",)), outbox=Outbox(dir="outbox"), sources={})
    onlooker = Onlooker(
        OnlookerParts(
            settings=lambda: settings,
            health=Health([]),
            calls=Calls(),
            stats=lambda: full("the disk does not answer"),
            broker=lambda: BrokerStatus("up", 0, []),
            late_s=lambda: 9.0,
            reloads=Reloads(1.0),
        )
    )
    assert "the disk has not finished a write for 9 s" in say(onlooker.standing).one


def test_a_refusal_stands_until_its_own_caller_is_let_in_whatever_else_is_refused() -> None:
    settings = Settings(amqp=Amqp(urls=("amqp://h/",)), sources={"contoso": SOURCE})
    calls, now = Calls(), time.time()
    onlooker = Onlooker(
        OnlookerParts(
            settings=lambda: settings,
            health=Health([]),
            calls=calls,
            stats=lambda: STATS,
            broker=lambda: BrokerStatus("up", 0, []),
            late_s=lambda: 0.0,
            reloads=Reloads(1.0),
        )
    )

    def note(outcome: str, **parts: object) -> set[tuple[str, str]]:
        calls.note(call(now + len(calls), outcome=outcome, **parts))
        onlooker.look()
        return {(one.reason, one.address) for one in onlooker.standing.refused}

    refused = {"http_status": 401, "id": "", "listed": True}
    assert {("credentials", "203.0.113.7")} == note("unauthorized", **refused)
    both = {("credentials", "203.0.113.7"), ("unlisted", "198.51.100.7")}
    assert both == note("unlisted_address_valid_credentials", **refused, address="198.51.100.7")
    assert both == note("accepted", id="e1", trigger="course_assignment")
    assert {("unlisted", "198.51.100.7")} == note("accepted", id="e2")
