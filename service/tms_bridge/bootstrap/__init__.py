"""The composition root: builds outbox, broker, relay, listeners; owns signals and the order of shutdown."""

import asyncio
from collections.abc import Callable
from contextlib import closing

import uvloop

from tms_bridge.bootstrap.service import Bridge
from tms_bridge.log import Log
from tms_bridge.settings.load import Loaded

__all__ = ["serve"]


def serve(read: Callable[[], Loaded]) -> int:
    """Run the bridge until a signal ends it; `read` reads the configuration, now and at each reload.

    Returns:
        The exit code: 0 stopped in good order, 1 the outbox broke.

    Raises:
        SettingsError: the configuration cannot be used, or an address cannot be listened on.
        OutboxError: the outbox is held by another process, or cannot be opened.
    """
    loaded = read()
    log = Log(loaded.settings.log)
    with closing(log), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(loaded, read, log))


async def _run(loaded: Loaded, read: Callable[[], Loaded], log: Log) -> int:
    return await Bridge(loaded, read, log).run()
