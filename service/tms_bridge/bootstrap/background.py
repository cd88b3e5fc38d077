"""What runs beside the answering of requests for as long as the bridge does, and outlives its own defects.

What an error costs that nobody foresaw; each is logged with its traceback and counted, and after a moment
the task goes on:

| task         | what it does                                    | what the error costs                      |
| ------------ | ----------------------------------------------- | ----------------------------------------- |
| relay        | carries events to the broker                    | its connection; the outbox still has all  |
| topology     | declares what the broker lacks                  | this attempt                              |
| outbox watch | ends the bridge when the outbox breaks          | nothing                                   |
| reloader     | takes over a new configuration and certificates | in a reload: the reload, which is refused |
| onlooker     | notes how things stand                          | this look; what it said last still stands |
| observations | keeps which members came                        | this writing of the file                  |
| watchdog     | tells systemd that the bridge is alive          | this sign of life                         |

Two kinds of error are no defects, and end the bridge: an outbox that broke, and an AMQP client that cannot
be used. Neither would be better the next time.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Final

from tms_bridge.errors import ClientUnfit, OutboxError
from tms_bridge.log import Logger
from tms_bridge.metrics import Tally

PAUSE_S: Final = 1.0
"""How long a task rests after a defect, which may well meet it again."""

AGAIN_S: Final = 2.0
"""How long a task may take to end before it is cancelled again."""


async def outlive(
    task: str, run: Callable[[], Coroutine[None, None, None]], faults: Tally, logger: Logger
) -> None:
    """Run a task, and again after each defect.

    Raises:
        OutboxError: the outbox broke; it may come in a group.
        ClientUnfit: the AMQP client cannot be used; it may come in a group.
    """
    faults.show(task)
    while True:
        try:
            return await run()
        except Exception as error:  # nothing that nobody foresaw may end the bridge; counted
            if _is_the_end(error):
                raise
            defect = error
        faults.inc(task)
        logger.error("a defect in a background task, which goes on", task=task, exc_info=defect)
        await asyncio.sleep(PAUSE_S)


async def end(tasks: Collection["asyncio.Task[None]"]) -> None:
    """Cancel tasks until all have ended.

    Once may not do: Python 3.11's `asyncio.wait_for`, by which the AMQP client waits for the broker, loses a
    cancellation that comes together with the result.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)


def _is_the_end(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):
        return any(map(_is_the_end, error.exceptions))
    return isinstance(error, OutboxError | ClientUnfit)
