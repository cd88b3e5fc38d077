import asyncio

from hypothesis import given
from hypothesis import strategies as st
from tests.waiting import until

from tms_bridge.web.limits import Deadlines, InFlight

SOURCES = ("contoso", "fabrikam", "acme")


class Wait:
    """Something with a time limit, that notes its end."""

    def __init__(self, number: int, moment: float, ended: list[int]) -> None:
        self.number = number
        self.moment = moment
        self.ended = ended

    def expire(self) -> None:
        self.ended.append(self.number)


async def test_each_wait_ends_at_its_own_moment_whichever_began_first() -> None:
    deadlines, now, ended = Deadlines(60), asyncio.get_running_loop().time(), list[int]()
    for number, moment in enumerate((now + 0.09, now + 0.03, now + 0.06)):
        deadlines.add(Wait(number, moment, ended))
    await until(lambda: len(ended) == 3)

    assert [1, 2, 0] == ended


async def test_a_moment_that_has_passed_ends_the_wait_at_once() -> None:
    deadlines, ended = Deadlines(60), list[int]()
    deadlines.add(Wait(7, asyncio.get_running_loop().time() - 1, ended))
    await until(lambda: ended == [7])


async def test_what_ends_in_time_is_left_alone_when_the_timer_goes_off() -> None:
    deadlines, now, ended = Deadlines(60), asyncio.get_running_loop().time(), list[int]()
    in_time, late = Wait(1, now + 0.01, ended), Wait(2, now + 0.02, ended)
    deadlines.add(in_time)
    deadlines.add(late)
    deadlines.discard(in_time)
    await until(lambda: bool(ended))

    assert [2] == ended


async def test_a_deadline_leaves_time_to_say_that_it_has_passed() -> None:
    assert 57 <= Deadlines(60).patience_s < 60


def test_a_single_source_has_all_that_may_be_in_flight() -> None:
    in_flight = InFlight(5)
    in_flight.share_among(["contoso"])
    assert [True] * 5 + [False] == [in_flight.enter("contoso") for _ in range(6)]


def test_a_greedy_source_leaves_the_others_their_parts() -> None:
    in_flight = InFlight(20)
    in_flight.share_among(["greedy", "contoso"])
    assert 15 == sum(in_flight.enter("greedy") for _ in range(20))
    assert 5 == sum(in_flight.enter("contoso") for _ in range(20))


def test_what_is_kept_for_a_source_that_was_taken_away_is_free() -> None:
    in_flight = InFlight(20)
    in_flight.share_among(["greedy", "contoso"])
    in_flight.share_among(["greedy"])
    assert 20 == sum(in_flight.enter("greedy") for _ in range(30))


@given(st.lists(st.tuples(st.sampled_from([*SOURCES, "gone"]), st.booleans()), max_size=80))
def test_a_source_within_its_part_may_always_begin(steps: list[tuple[str, bool]]) -> None:
    in_flight, part, counts = InFlight(24), 4, dict.fromkeys([*SOURCES, "gone"], 0)
    in_flight.share_among(SOURCES)
    for source, ends in steps:
        if ends and counts[source]:
            in_flight.leave(source)
            counts[source] -= 1
        else:
            began = in_flight.enter(source)
            assert began or source == "gone" or counts[source] >= part
            counts[source] += began
        assert in_flight.count == sum(counts.values()) <= 24
