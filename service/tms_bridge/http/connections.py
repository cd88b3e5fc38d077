"""What a connection may cost before it has proved itself, and who gives way when there are too many.

Theory of operation. Each listener has one `Connections`. A connection enters when it is made and leaves
when it is lost; in between one timer, shared by all, looks at each of them. No request starts a timer.

| what a connection does | what becomes of it |
| --- | --- |
| it begins a head and does not end it within `head_timeout_s` | 408, closed |
| it is quiet between requests for `idle_timeout_s` | closed |
| it does not read its answers for WRITE_TIMEOUT_S | cut off |
| it has lived for MAX_LIFE_S | its next answer says `Connection: close` |
| it asks on before it is answered, and has proved nothing | the same: no browser, probe or proxy does so |
| it is one too many, in all or of one peer | another gives way: see `_whom_to_end` |

A connection has proved itself when a request on it showed right credentials. Whoever only connects, or
sends bytes that never become a request, makes no progress and goes first. Callers never use up the
descriptors: some are left for the journal, the broker, a reload, the admin listener and what is being closed.
"""

import asyncio
import resource
from collections import Counter, OrderedDict
from typing import Final, Protocol

import msgspec

from tms_bridge.auth.allowlist import Networks, network_of, parse_peer
from tms_bridge.log import Logger
from tms_bridge.metrics import ConnectionMetrics
from tms_bridge.settings.model import Http

ADMIN_CONNECTIONS: Final = 48
"""What the admin listener takes at once; they are part of the reserve."""

WRITE_TIMEOUT_S: Final = 30.0
"""How long a caller may leave what it was answered unread."""

MAX_LIFE_S: Final = 3600.0
"""After so long a connection ends with its next answer."""

_ASK_S: Final = 0.5
"""Whoever opens a connection to ask for something has asked by then."""
_ASK_LOOKS: Final = 50

ACCEPT_QUEUE: Final = 1024
"""How many callers the kernel may queue for one listener.

They hold no descriptor of ours: one is accepted in each round of the loop, and then finds room or makes some.
A caller beyond them is heard a second later, when its kernel tries again, which is too late for a probe.
"""

_RESERVED: Final = 48 + ADMIN_CONNECTIONS
_MAX_CLOSING: Final = 1536
_LOOK_EVERY_S: Final = 0.25
_SPEAK_EVERY_S: Final = 60.0
_NOBODY: Final = Networks(())


class Limits(msgspec.Struct, frozen=True):
    """What the connections of one listener may cost; `exempt` are the peers that many callers share."""

    max_head_bytes: int
    head_timeout_s: float
    idle_timeout_s: float
    max_connections: int
    max_per_peer: int
    exempt: Networks = _NOBODY


def limits_of(http: Http, exempt: Networks = _NOBODY) -> Limits:
    """Return the webhook listener's limits, which descriptors bound whatever is configured.

    Some are left for connections that gave way: each holds its descriptor until it is closed.
    """
    descriptors = _descriptors()
    room = max(descriptors - _RESERVED - min(_MAX_CLOSING, 3 * descriptors // 8), descriptors // 4, 1)
    return Limits(
        http.max_head_bytes,
        http.head_timeout_s,
        http.idle_timeout_s,
        min(http.max_connections or room, room),
        http.max_connections_per_peer,
        exempt,
    )


def admin_limits_of(http: Http) -> Limits:
    """Return the admin listener's limits: the same times and sizes, and a number of its own."""
    return Limits(
        http.max_head_bytes,
        http.head_timeout_s,
        http.idle_timeout_s,
        ADMIN_CONNECTIONS,
        http.max_connections_per_peer,
    )


class OpenConnection(Protocol):
    """A connection as this sees it.

    Attributes:
        remote: the address that it counts for.
        proved: a request on it showed right credentials.
        progressed: when it was made or last answered, on the event loop's clock.
        busy: a request of it is being worked on.
        new: nothing was answered on it yet.
    """

    remote: str
    proved: bool
    progressed: float

    @property
    def busy(self) -> bool:
        """Whether a request of it is being worked on."""
        ...

    @property
    def new(self) -> bool:
        """Whether nothing was answered on it yet."""
        ...

    def look(self, now: float) -> str | None:
        """End it if it has had its time; return the reason if that is a refusal."""
        ...

    def cut_off(self) -> None:
        """End it at once, with nothing said."""
        ...


class Connections:
    """The open connections of one listener."""

    def __init__(
        self,
        limits: Limits,
        listener: str,
        metrics: ConnectionMetrics | None = None,
        logger: Logger | None = None,
    ) -> None:
        self.limits = limits
        self._listener = listener
        self._metrics = metrics
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._unproved: OrderedDict[OpenConnection, str] = OrderedDict()
        self._proved: dict[OpenConnection, str] = {}
        self._of_peer: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._refused: Counter[str] = Counter()
        self._speak_at = 0.0
        if metrics is not None:
            metrics.watch(listener, self.__len__)

    def __len__(self) -> int:
        return len(self._unproved) + len(self._proved)

    def enter(self, member: OpenConnection) -> bool:
        """Take a new connection in; False: there is no room, and nobody who could make some."""
        peer = self._peer_of(member.remote)
        if not (self._has_room_for(peer) and self._has_room()):
            return False
        self._unproved[member] = peer
        self._of_peer[peer] += 1
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look)
        return True

    def leave(self, member: OpenConnection) -> None:
        """Forget a connection."""
        peer = self._unproved.pop(member, None)
        if peer is None:
            peer = self._proved.pop(member, None)
        if peer is None:
            return
        self._of_peer[peer] -= 1
        if not self._of_peer[peer]:
            del self._of_peer[peer]

    def prove(self, member: OpenConnection) -> None:
        """Right credentials came on this connection: it goes last."""
        if (peer := self._unproved.pop(member, None)) is not None:
            self._proved[member] = peer

    def progress(self, member: OpenConnection) -> None:
        """A request of this connection was answered."""
        if member in self._unproved:
            self._unproved.move_to_end(member)

    async def settle(self) -> None:
        """Wait until each newcomer has been answered, or has had the time to ask."""
        for _ in range(_ASK_LOOKS):
            await asyncio.sleep(_ASK_S / _ASK_LOOKS)  # at first: who was accepted just now is not made yet
            if not any(one.new for one in self._unproved):
                return

    def refuse(self, reason: str) -> None:
        """Count a refusal, and say once a minute that there are any."""
        self._refused[reason] += 1
        if self._metrics is not None:
            self._metrics.refused.inc(self._listener, reason)
        now = self._loop.time()
        if now >= self._speak_at and self._logger is not None:
            self._speak_at = now + _SPEAK_EVERY_S
            self._logger.warning(
                "connections refused", listener=self._listener, open=len(self), **_counts(self._refused)
            )
            self._refused.clear()

    def _has_room_for(self, peer: str) -> bool:
        if not peer or self._of_peer[peer] < self.limits.max_per_peer:
            return True
        return self._make_room("max_connections_per_peer", peer)

    def _has_room(self) -> bool:
        return len(self) < self.limits.max_connections or self._make_room("max_connections")

    def _make_room(self, reason: str, peer: str = "") -> bool:
        """Let one give way, counted as refused; or nobody, and it is the newcomer who is refused."""
        self.refuse(reason)
        victim = self._whom_to_end(peer)
        if victim is None:
            return False
        self.leave(victim)
        victim.cut_off()
        return True

    def _whom_to_end(self, peer: str) -> OpenConnection | None:
        """Return the unproved connection that is idle longest, else a busy one, else an idle proved one."""
        unproved = [one for one, of in self._unproved.items() if of == peer] if peer else self._unproved
        idle = next((one for one in unproved if not one.busy), None) or next(iter(unproved), None)
        if idle is not None:
            return idle
        proved = [one for one, of in self._proved.items() if not one.busy and (not peer or of == peer)]
        return min(proved, key=lambda one: one.progressed, default=None)

    def _look(self) -> None:
        """Look at each connection, for as long as there are any."""
        now = self._loop.time()
        for member in [*self._unproved, *self._proved]:
            if (reason := member.look(now)) is not None:
                self.refuse(reason)
        self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look) if len(self) else None

    def _peer_of(self, remote: str) -> str:
        """Return whom a connection counts for, an IPv6 caller for its /64; empty where there is no limit."""
        address = parse_peer(remote)
        if address is None or address in self.limits.exempt:
            return ""
        return network_of(remote)


def _counts(refused: Counter[str]) -> dict[str, int]:
    return dict(sorted(refused.items()))


def _descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
