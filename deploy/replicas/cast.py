"""Three replicas, and what may happen to them: each step returns when it is over."""

import asyncio
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final

import msgspec

from bridge import Bridge, BridgeFailedError
from cluster import Cluster
from timeline import Band, Point

_OUTAGE_S: Final = 5.0
_QUIET_S: Final = 2.0
_STARTED_WITHIN_S: Final = 120.0
_DRAINED_WITHIN_S: Final = 120.0
_SAMPLE_EVERY_S: Final = 0.5
_WAITING: Final = re.compile(r"^tms_bridge_outbox_events (\S+)$", re.MULTILINE)


class _Row(msgspec.Struct):
    id: str


class Cast:
    """The bridges and their broker, with what was done to them.

    Attributes:
        began: the start, by the monotonic clock; `began_unix` by the calendar's.
        bands: who was away, and when, in seconds from the start.
        waiting: how many events waited in the outboxes that could be asked.
        left_behind: ids that waited in a replica when it was scaled down.
        lost: ids that waited in a volume when it was lost.
    """

    def __init__(self, bridges: Sequence[Bridge], cluster: Cluster) -> None:
        self._bridges = bridges
        self._cluster = cluster
        self.began, self.began_unix = time.monotonic(), time.time()
        self._since: dict[str, float] = {}
        self.bands: list[Band] = []
        self.waiting: list[Point] = []
        self.left_behind: set[str] = set()
        self.lost: set[str] = set()

    @property
    def now_s(self) -> float:
        """Seconds from the start."""
        return time.monotonic() - self.began

    async def watch(self) -> None:
        """Write down how many events wait, until cancelled."""
        while True:
            self.waiting.append((self.now_s, sum(await self._depths())))
            await asyncio.sleep(_SAMPLE_EVERY_S)

    async def replace_replicas(self, count: int) -> None:
        """Stop and start replicas one after another, the last first, as a StatefulSet rolls."""
        for at in reversed(range(len(self._bridges) - count, len(self._bridges))):
            await self._stop(at)
            await self._start(at)
            await asyncio.sleep(_QUIET_S)

    async def replace_broker(self) -> None:
        """Stop and start the broker's nodes one after another; each keeps its volume."""
        for at, node in enumerate(self._cluster.nodes):
            self._gone(f"broker node {at}")
            await asyncio.to_thread(node.stop)
            await asyncio.to_thread(self._cluster.restart, node)
            self._back(f"broker node {at}")
            await asyncio.sleep(_QUIET_S)

    async def lose_broker(self) -> None:
        """Kill all of its nodes at once, and start them again after a while."""
        await self._kill_broker()
        await asyncio.sleep(_OUTAGE_S)
        await self._restart_broker()
        await self._drained()

    async def scale_down_and_lose_a_volume(self) -> None:
        """While the broker is away: take two replicas with a backlog away, and one of them its volume.

        When both are back, the first delivers what it had kept; what the second had kept is lost.
        """
        await self._kill_broker()
        await asyncio.sleep(_OUTAGE_S)
        first = await self._stop_fullest()
        self.left_behind |= await asyncio.to_thread(_kept_by, self._bridges[first])
        await asyncio.sleep(_OUTAGE_S)
        second = await self._stop_fullest()
        self.lost |= await asyncio.to_thread(_kept_by, self._bridges[second])
        await asyncio.to_thread(shutil.rmtree, self._bridges[second].outbox)
        await self._restart_broker()
        await self._drained()
        await self._start(second)
        await asyncio.sleep(_QUIET_S)
        await self._start(first)
        await self._drained()

    async def _stop_fullest(self) -> int:
        depths = await self._depths()
        fullest = depths.index(max(depths))
        await self._stop(fullest)
        return fullest

    async def _stop(self, at: int) -> None:
        self._gone(f"replica {at}")
        await asyncio.to_thread(self._bridges[at].stop)

    async def _start(self, at: int) -> None:
        await asyncio.to_thread(self._bridges[at].start, timeout_s=_STARTED_WITHIN_S)
        self._back(f"replica {at}")

    async def _kill_broker(self) -> None:
        self._gone("whole broker")
        for node in self._cluster.nodes:
            await asyncio.to_thread(node.kill)

    async def _restart_broker(self) -> None:
        await asyncio.to_thread(self._cluster.restart, *self._cluster.nodes)
        self._back("whole broker")

    async def _drained(self) -> None:
        """Wait until next to nothing waits in any replica that runs, though events go on coming."""
        async with asyncio.timeout(_DRAINED_WITHIN_S):
            while not await asyncio.to_thread(lambda: all(map(_is_drained, self._bridges))):  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(_SAMPLE_EVERY_S)

    async def _depths(self) -> list[int]:
        return await asyncio.to_thread(lambda: [_waiting(bridge) or 0 for bridge in self._bridges])

    def _gone(self, who: str) -> None:
        self._since[who] = self.now_s

    def _back(self, who: str) -> None:
        self.bands.append(Band(f"{who} away", self._since.pop(who), self.now_s))


def _is_drained(bridge: Bridge) -> bool:
    if not bridge.running:
        return True
    waiting = _waiting(bridge)
    return waiting is not None and waiting <= 1


def _waiting(bridge: Bridge) -> int | None:
    """Return how many events wait in its outbox; None where nobody answers."""
    try:
        with urllib.request.urlopen(f"{bridge.admin_url}/metrics", timeout=2.0) as answer:  # noqa: S310 - ours
            found = _WAITING.search(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None
    return int(float(found[1])) if found else None


def _kept_by(bridge: Bridge) -> set[str]:
    """Return the ids that wait in the outbox of a bridge that has stopped."""
    command = bridge.command("outbox", "list", "--json", "--limit", "1000000")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BridgeFailedError(f"outbox list failed:\n{done.stderr}")
    return {msgspec.convert(json.loads(line), _Row).id for line in done.stdout.splitlines()}
