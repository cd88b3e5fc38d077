"""The composition root: builds outbox, broker, relay, listeners; owns signals and the order of shutdown."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import closing
from typing import Final

import uvloop

from tms_bridge.bootstrap.service import Bridge
from tms_bridge.log import Log
from tms_bridge.settings.load import Loaded

__all__ = ["serve"]

_COLLECT_AFTER: Final = 20_000
"""How many more objects than at the last look; some hundred webhooks at once."""


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
    _calm_collector()
    with closing(log), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(loaded, read, log))


def _calm_collector() -> None:
    """Let the collector look less often, and never at what lives as long as the process.

    A webhook leaves no cycles behind, so that nearly all it looks at is in use.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


async def _run(loaded: Loaded, read: Callable[[], Loaded], log: Log) -> int:
    return await Bridge(loaded, read, log).run()
