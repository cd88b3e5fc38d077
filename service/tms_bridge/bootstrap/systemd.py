"""What systemd is told: ready, alive, stopping (sd_notify(3)); nothing where it gives no NOTIFY_SOCKET."""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_MICROSECONDS: Final = 1_000_000
_PATIENCE_S: Final = 0.5
"""A full socket is waited for so long: a READY=1 that is thrown away would end in a start that timed out."""


class ServiceManager:
    """The other end of systemd's notification socket."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # A leading @ stands for the zero byte that begins a name outside of the file system.
        self._address = environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog_s = int(environ.get("WATCHDOG_USEC", "0")) / _MICROSECONDS if mine else 0.0

    def tell(self, state: str) -> None:
        """Send one state, such as `READY=1`; nobody who does not listen holds the bridge up."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
            datagram.settimeout(_PATIENCE_S)
            datagram.sendto(state.encode(), self._address)

    async def keep_alive(self) -> None:
        """Show that the event loop turns, twice in the time after which systemd ends what hangs."""
        while self._watchdog_s > 0:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / 2)
