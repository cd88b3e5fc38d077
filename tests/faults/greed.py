"""A source that takes all it can get: hundreds of slow bodies, and events that are held."""

import asyncio
import itertools
import json
import threading
from collections import Counter
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from tests.faults.rig import GREEDY
from tests.faults.subject import AUTHORIZATION

SLOW: Final = 450
"""Bodies that never come, at once: more than may be in flight."""

_PEERS: Final = 3
"""Addresses that they come from: one may have 256 connections."""

_UNLISTED: Final = "127.0.1.1"
_FLOODING: Final = 4
_PAUSE_S: Final = 0.05
_PADDING: Final = "x" * 2000


class Greed:
    """Greedy for as long as its context lasts, in a thread of its own.

    Attributes:
        codes: how its calls were answered, by what they were: `slow` or `held`.
    """

    def __init__(self, url: str) -> None:
        self.codes: Counter[tuple[str, int]] = Counter()
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 0
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        slow = [self._again(f"127.0.0.{2 + number % _PEERS}", "slow") for number in range(SLOW)]
        held = [self._again(_UNLISTED, "held") for _ in range(_FLOODING)]
        tasks = [asyncio.ensure_future(each) for each in (*slow, *held)]
        await asyncio.to_thread(self._stop.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _again(self, address: str, what: str) -> None:
        while True:
            try:
                self.codes[what, await self._call(address, what)] += 1
            except (OSError, asyncio.IncompleteReadError):
                self.codes[what, 0] += 1
            await asyncio.sleep(_PAUSE_S)

    async def _call(self, address: str, what: str) -> int:
        reader, writer = await asyncio.open_connection(self._host, self._port, local_addr=(address, 0))
        try:
            writer.write(self._request(whole=what == "held"))
            status = await reader.readuntil(b"\r\n")
            return int(status.split()[1])
        finally:
            writer.close()

    def _request(self, *, whole: bool) -> bytes:
        event = {"Id": next(self._numbers), "ConfirmationStatusId": 0, "Padding": _PADDING}
        body = json.dumps(event).encode()
        head = (
            f"POST /webhooks/{GREEDY}/class-changed HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTHORIZATION}\r\n"
        )
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + (body if whole else b"")
