import asyncio

from tests.waiting import until

from tms_bridge.web.limits import Deadlines


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
    now = asyncio.get_running_loop().time()
    assert now + 57 <= Deadlines(60).next() < now + 60
