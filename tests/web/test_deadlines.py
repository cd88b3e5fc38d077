import asyncio

import pytest

from tms_bridge.web.deadlines import Deadlines


async def _wait(deadlines: Deadlines, moment: float) -> str:
    try:
        with deadlines.until(moment):
            await asyncio.Event().wait()
    except TimeoutError:
        return "late"
    return "in time"


async def test_each_wait_ends_at_its_own_moment_whichever_began_first() -> None:
    deadlines, now = Deadlines(60), asyncio.get_running_loop().time()
    ended: list[int] = []

    async def wait(number: int, moment: float) -> None:
        assert await _wait(deadlines, moment) == "late"
        ended.append(number)

    async with asyncio.TaskGroup() as group:
        for number, moment in enumerate((now + 0.09, now + 0.03, now + 0.06)):
            group.create_task(wait(number, moment))
    assert ended == [1, 2, 0]


async def test_a_moment_that_has_passed_ends_the_wait_at_once() -> None:
    deadlines = Deadlines(60)
    assert await _wait(deadlines, asyncio.get_running_loop().time() - 1) == "late"


async def test_what_ends_in_time_is_left_alone_when_the_timer_goes_off() -> None:
    deadlines, loop = Deadlines(60), asyncio.get_running_loop()
    with deadlines.until(loop.time() + 0.01):
        done = await asyncio.sleep(0, "done")
    await asyncio.sleep(0.03)
    assert done == "done"


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    deadlines = Deadlines(60)
    waiting = asyncio.create_task(_wait(deadlines, asyncio.get_running_loop().time() + 60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancellation_that_comes_with_the_deadline_is_not_swallowed() -> None:
    deadlines = Deadlines(60)
    waiting = asyncio.create_task(_wait(deadlines, asyncio.get_running_loop().time() + 60))
    await asyncio.sleep(0)
    waiting.cancel()
    for wait in list(deadlines._waits):
        wait.expire()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_only_a_task_can_be_kept_to_a_deadline() -> None:
    async def deadlines() -> Deadlines:
        return Deadlines(60)

    made = asyncio.run(deadlines())
    with pytest.raises(RuntimeError, match="only a task"), made.until(0):
        pass
