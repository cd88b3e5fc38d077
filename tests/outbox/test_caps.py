import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.outbox.outboxes import event

from tms_bridge.outbox.rows import Caps, State, Totals

SOURCES = ("contoso", "fabrikam", "acme")
CAPS = Caps(outbox=600, held=600, quarantine=600, sources=SOURCES)
STATES = st.sampled_from([State.PENDING, State.HELD, State.UNDECODABLE])


def stored(**sizes: int) -> Totals:
    totals = Totals()
    for source, size in sizes.items():
        totals.add(State.PENDING, source, 1, size)
    return totals


def why(caps: Caps, totals: Totals, source: str, size: int, state: State = State.PENDING) -> str:
    return caps.why_full(totals, Totals(), state, source, size)


def test_a_single_source_has_all_of_a_cap() -> None:
    caps = msgspec.structs.replace(CAPS, sources=("contoso",))
    assert "" == why(caps, stored(contoso=500), "contoso", 100)
    assert "the outbox holds its 600 bytes (outbox.max_bytes)" == why(
        caps, stored(contoso=500), "contoso", 101
    )


def test_a_greedy_source_cannot_take_what_is_kept_for_others() -> None:
    assert "" == why(CAPS, stored(contoso=300), "contoso", 100)
    refused = why(CAPS, stored(contoso=400), "contoso", 1)
    assert "no more room for the source contoso: 200 of its 600 bytes (outbox.max_bytes) are kept" in refused
    assert "" == why(CAPS, stored(contoso=400), "fabrikam", 100)


@pytest.mark.parametrize(
    ("state", "says"), [(State.HELD, "held.max_bytes"), (State.UNDECODABLE, "quarantine.max_bytes")]
)
def test_held_and_undecodable_rows_have_caps_of_their_own(state: State, says: str) -> None:
    totals = Totals()
    totals.add(state, "contoso", 1, 600)
    assert says in why(CAPS, totals, "contoso", 1, state)
    assert "" == why(CAPS, totals, "contoso", 400)


def test_held_rows_take_nothing_of_the_outbox_nor_it_of_theirs() -> None:
    full = stored(contoso=600)
    assert "" == why(CAPS, full, "contoso", 400, State.HELD)
    assert "outbox.max_bytes" in why(CAPS, full, "contoso", 1, State.UNDECODABLE)  # its copy for the bus


@given(st.lists(st.tuples(st.sampled_from([*SOURCES, "gone"]), st.integers(1, 120), STATES), max_size=60))
def test_a_source_within_its_part_is_never_refused_for_anothers_sake(
    arrivals: list[tuple[str, int, State]],
) -> None:
    totals = Totals()
    part = 100
    for source, size, state in arrivals:
        refused = why(CAPS, totals, source, size, state)
        share = totals.ledger.shares.get(source)
        used = {
            State.PENDING: share.event_bytes if share else 0,
            State.HELD: share.held_bytes if share else 0,
            State.UNDECODABLE: max(share.event_bytes, share.undecodable_bytes) if share else 0,
        }
        if source in SOURCES and used[state] + size <= part:
            assert "" == refused
        if not refused:
            totals.add(state, source, 1, size)
            if state is State.UNDECODABLE:
                totals.add(State.PENDING, source, 1, size)
        assert max(totals.all.event_bytes, totals.all.held_bytes, totals.all.undecodable_bytes) <= 600


def test_what_leaves_is_counted_out_and_a_source_without_rows_is_forgotten() -> None:
    totals = stored(contoso=10)
    before = totals.copy()
    totals.add(State.PENDING, "contoso", -1, -10)
    assert ({}, 0) == (totals.ledger.shares, totals.all.event_bytes)
    assert 10 == before.ledger.shares["contoso"].event_bytes
    assert event(1).source == "contoso"
