import uuid
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tms_bridge.http.ids import EventIds


@given(st.lists(st.integers(0, 2**47), min_size=2, max_size=30), st.binary(min_size=10, max_size=10))
def test_ids_rise_whatever_clock_and_randomness_do(clock_ms: list[int], noise: bytes) -> None:
    moments = iter(clock_ms)
    ids = EventIds(lambda: next(moments) * 1_000_000, lambda size: noise[:size])
    minted = [uuid.UUID(ids.mint()) for _ in clock_ms]

    assert all(earlier < later for earlier, later in pairwise(minted))
    assert {(one.version, one.variant) for one in minted} == {(7, uuid.RFC_4122)}


def test_an_id_holds_the_time_of_its_minting() -> None:
    minted = EventIds(lambda: 1_700_000_000_123_456_789).mint()

    assert uuid.UUID(minted).int >> 80 == 1_700_000_000_123


def test_a_full_millisecond_goes_on_in_the_next() -> None:
    ids = EventIds(lambda: 5_000_000, lambda size: b"\xff" * size)
    first = uuid.UUID(ids.mint())
    ids._last_random = (1 << 74) - 1
    second = uuid.UUID(ids.mint())

    assert (first.int >> 80, second.int >> 80) == (5, 6)
