"""The one sentence, row by row, as the design of the console words it."""

from datetime import UTC, datetime

import msgspec
import pytest

from tms_bridge.words.saying import ROWS, say, sayings
from tms_bridge.words.standing import BlockedLane, RefusedCalls, SourceStanding, Standing

BOTH = frozenset({"class", "course_assignment"})
NOW = datetime(2026, 11, 26, 14, 0, tzinfo=UTC).timestamp()
WELL = Standing(
    now=NOW,
    sources={"contoso": SourceStanding(called=BOTH, last_event_at=NOW - 3, last_delivered_ms=5)},
)


def at(hour: int, minute: int, day: int = 26) -> float:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()


def standing(**changes: object) -> Standing:
    return msgspec.structs.replace(WELL, **changes)


def source(**changes: object) -> dict[str, SourceStanding]:
    return {"contoso": msgspec.structs.replace(WELL.sources["contoso"], **changes)}


def refused(reason: str, **changes: object) -> list[RefusedCalls]:
    calls = RefusedCalls("unlisted", "contoso", "class", "198.51.100.77", 2, at(13, 41))
    return [msgspec.structs.replace(calls, reason=reason, **changes)]


OUTAGE = {"broker": "down", "broker_since": at(3, 12), "waiting": 412, "room": 340_000}

CASES: list[tuple[Standing, str, str]] = [
    (
        standing(stopping=True, waiting=12),
        "idle",
        "Shutting down: no new calls; 12 events are being delivered first, for at most 20 s.",
    ),
    (standing(stopping=True), "idle", "Shutting down: no new calls."),
    (
        standing(stopping=True, waiting=12, broker="down"),
        "idle",
        "Shutting down: no new calls.",
    ),
    (
        standing(broken="database disk image is malformed"),
        "bad",
        "Stopped: the outbox is damaged. Calls get no answer, TMS gives each up after 15 s.",
    ),
    (
        standing(late_s=9.0, now=at(4, 12) + 9),
        "bad",
        "Not taking events since 04:12: the disk has not finished a write for 9 s.",
    ),
    (
        standing(full="outbox.max_bytes is reached", full_since=at(5, 40), unavailable=31),
        "bad",
        "Outbox full since 05:40: 31 calls got 503. TMS gives each up after 15 s, and it is lost.",
    ),
    (
        standing(broker="down", broker_since=at(3, 12), has_outbox=False, full="the broker is not connected"),
        "bad",
        "Broker away since 03:12, and there is no outbox: calls get 503 and are lost after 15 s.",
    ),
    (
        standing(**OUTAGE, per_s=340_000 / (50 * 86_400)),
        "bad",
        "Broker away since 03:12; 412 events safe; room for 340,000 more, about 50 days at today's pace.",
    ),
    (
        standing(**OUTAGE | {"broker_since": at(3, 12, day=24), "waiting": 1}),
        "bad",
        "Broker away since 2026-11-24 03:12; 1 event safe; room for 340,000 more.",
    ),
    (
        standing(**OUTAGE, per_s=0.001),
        "bad",
        "Broker away since 03:12; 412 events safe; room for 340,000 more, more than a year at today's pace.",
    ),
    (standing(broker="down", waiting=3), "bad", "Broker away; 3 events safe."),
    (
        standing(broker="blocked", broker_since=at(11, 20), waiting=1204, room=1000),
        "bad",
        (
            "RabbitMQ takes nothing since 11:20 (its memory or disk alarm); 1,204 events safe; "
            "room for 1,000 more."
        ),
    ),
    (
        standing(lanes=[BlockedLane("tms.class.scheduled", at(10, 2), 88)]),
        "warn",
        "A queue refuses tms.class.scheduled since 10:02: 88 events wait; other topics go on.",
    ),
    (
        standing(draining_since=at(4, 40), waiting=412, delivered_per_s=5.0, per_s=1.5),
        "warn",
        "Broker back since 04:40; 412 events are being delivered, about 1 min 58 s to go.",
    ),
    (
        standing(draining_since=at(4, 40), waiting=412, delivered_per_s=1.0, per_s=1.5),
        "warn",
        "Broker back since 04:40; 412 events are being delivered.",
    ),
    (
        standing(refused=refused("unlisted")),
        "bad",
        "2 calls refused since 13:41: right password, unlisted address 198.51.100.77 (contoso).",
    ),
    (
        standing(refused=refused("credentials", count=3, since=at(14, 2, day=25))),
        "warn",
        "3 calls refused since 2026-11-25 14:02: wrong password (contoso, class changed).",
    ),
    (
        standing(refused=refused("source", asked="contso", count=1)),
        "warn",
        '1 call refused since 13:41: the URL says "contso"; the source is "contoso".',
    ),
    (
        standing(sources=source(swapped=1, swapped_since=at(13, 22))),
        "warn",
        "contoso's two webhooks have their URLs swapped: 1 body kept since 13:22.",
    ),
    (
        standing(sources=source(undecodable=2, held=1, kept_since=at(13, 22))),
        "warn",
        "2 bodies not understood since 13:22, 1 event held. They are safe here for 30 days.",
    ),
    (standing(sources=source(held=1)), "warn", "1 event held. It is safe here for 30 days."),
    (
        standing(unroutable=38, unroutable_topics=2, unroutable_since=at(13, 5)),
        "warn",
        "No queue is bound to 2 topics: 38 events wait in tms.unroutable since 13:05.",
    ),
    (
        standing(topology_errors=["queue tms.quarantine is classic, not quorum"]),
        "warn",
        "RabbitMQ is not as configured: queue tms.quarantine is classic, not quorum.",
    ),
    (
        standing(
            reload_refused_at=at(13, 41), configured_at=at(9, 12, day=24), reload_reason="http.port: no"
        ),
        "warn",
        "The configuration of 13:41 was refused: the one of 2026-11-24 09:12 is still in force.",
    ),
    (
        standing(refusals=41_212, flooding="192.0.2.201", taken=212, p99_ms=8.0),
        "warn",
        "41,212 calls refused in the last 10 min, most from 192.0.2.201. Real events are not held up.",
    ),
    (
        standing(sources=source(called=frozenset({"course_assignment"}))),
        "idle",
        'contoso: "Class changed" has never been called.',
    ),
    (
        standing(sources={"contoso": SourceStanding(called=frozenset())}),
        "idle",
        "Nothing has ever arrived. The bridge is ready and waits for the first call from TMS.",
    ),
    (
        standing(sources=source(last_event_at=at(18, 2, day=24))),
        "idle",
        "Nothing is wrong here, and nothing came since 2026-11-24 18:02.",
    ),
    (WELL, "ok", "All is well. Last event 3 s ago, delivered in 5 ms."),
    (
        standing(sources=source(last_event_at=NOW - 5_220)),
        "ok",
        "All is well. Last event 1 h 27 min ago, delivered in 5 ms.",
    ),
    (standing(sources={"contoso": SourceStanding()}), "ok", "All is well."),
]


@pytest.mark.parametrize(("state", "kind", "one"), CASES, ids=[case[2][:50] for case in CASES])
def test_the_sentence_says_what_is_so(state: Standing, kind: str, one: str) -> None:
    assert (kind, one) == (say(state).kind, say(state).one)


def test_every_row_of_the_table_is_tried_here() -> None:
    """Each row makes at least one sentence of the cases, and the worst row is the one that is said."""
    firsts = [
        next((at for at, row in enumerate(ROWS) if any(row(state, None))), None) for state, _, _ in CASES
    ]
    assert set(range(len(ROWS))) <= set(firsts)


def test_the_next_three_stand_under_the_sentence_in_the_order_of_the_table() -> None:
    everything = standing(
        **OUTAGE,
        lanes=[BlockedLane("tms.class.scheduled", at(10, 2), 88)],
        refused=refused("unlisted") + refused("credentials"),
        unroutable=38,
        unroutable_topics=2,
        topology_errors=["x"],
    )
    assert ["Broker away", "A queue refuses", "2 calls refused", "2 calls refused"] == [
        " ".join(saying.one.replace(";", "").split()[: 3 if n else 2])
        for n, saying in enumerate(sayings(everything))
    ]


def test_real_events_are_not_said_to_flow_while_they_do_not() -> None:
    flooded = standing(refusals=41_212, flooding="192.0.2.201", broker="down", has_outbox=False)
    assert "held up" not in " ".join(saying.one for saying in sayings(flooded))


@pytest.mark.parametrize("state", [case[0] for case in CASES], ids=[case[2][:50] for case in CASES])
def test_who_sees_one_source_reads_nothing_of_another_nor_of_the_whole(state: Standing) -> None:
    told = " ".join(f"{saying.one} {saying.then}" for saying in sayings(state, frozenset({"fabrikam"})))
    for secret in (
        "contoso",
        "tms.class.scheduled",
        "198.51.100.77",
        "192.0.2.201",
        "412",
        "340,000",
        "1,204",
    ):
        assert secret not in told
