"""What the relay's window is made of.

A parcel is a message in memory, and a lane is what a nack can block.
"""

from collections.abc import Callable
from typing import Final

from tms_bridge.message import UNROUTABLE_EXCHANGE, Kind, Message

_EVENT: Final = Kind.EVENT  # looked up once, see `window`

FIRST_DELAY_S = 0.5
"""How long a lane waits after its first nack."""

LONGEST_DELAY_S = 30.0
"""The longest that a lane waits between two probes."""


def exchange_lane(exchange: str) -> str:
    """Name the lane of a whole exchange; the blank keeps it apart from every routing key."""
    return f"exchange {exchange}"


_UNROUTABLE_LANE = exchange_lane(UNROUTABLE_EXCHANGE)


class Parcel:
    """A pending message that the window holds.

    Attributes:
        line: its entity; messages of one line leave one after the other.
        exchange: where it is published next.
        lane: what a nack of it would block: its routing key, or for anything but an event on its way to
            the events exchange, the exchange.
        follower: the next parcel of its line.
        probing: the blocked lane that this parcel is the probe of.
    """

    __slots__ = ("exchange", "follower", "lane", "line", "message", "probing", "sent_at", "seq")

    def __init__(self, seq: int, message: Message, line: str, exchange: str) -> None:
        self.seq = seq
        self.message = message
        self.line = line
        self.exchange = exchange
        self.lane = lane_of(message, exchange)
        self.follower: Parcel | None = None
        self.probing: Lane | None = None
        self.sent_at = 0.0

    @property
    def can_be_rerouted(self) -> bool:
        """Whether a return sends it to the unroutable exchange, which takes events alone, and only once."""
        return self.message.kind is _EVENT and self.exchange != UNROUTABLE_EXCHANGE

    def reroute(self) -> None:
        """Send it to the unroutable exchange from now on."""
        self.exchange = UNROUTABLE_EXCHANGE
        self.lane = _UNROUTABLE_LANE


class Lane:
    """A routing key or an exchange that refused something, and when to ask it again.

    Attributes:
        probe: the parcel that asks; None while the lane is open.
        alone: true when the probe may close the channel, so that nothing else may be in flight with it.
        blocked_at: since when it has a probe; infinity while it is open.
        proven: a probe has got through on this connection.
    """

    __slots__ = ("_jitter", "_reopened_at", "alone", "blocked_at", "delay_s", "due", "probe", "proven")

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._reopened_at = float("-inf")
        self.probe: Parcel | None = None
        self.alone = False
        self.delay_s = 0.0
        self.due = float("inf")
        self.blocked_at = float("inf")
        self.proven = False

    def block(self, probe: Parcel, now: float, *, alone: bool) -> None:
        """Close the lane until its probe is due; a lane that was open only briefly goes on doubling."""
        self.alone = alone
        if self.probe is not probe and now - self._reopened_at > 2 * self.delay_s:
            self.delay_s = FIRST_DELAY_S
        else:
            self.delay_s = min(2 * self.delay_s, LONGEST_DELAY_S)
        self.blocked_at = min(self.blocked_at, now)
        self.probe = probe
        probe.probing = self
        self.due = now + self.delay_s * (0.5 + self._jitter() / 2)

    def disconnect(self, now: float) -> None:
        """Forget what the lost connection has shown, and ask the next one soon."""
        self.proven = False
        # What closes channels keeps its pause, and a probe that is on its way (infinity) needs none.
        if not self.alone and self.due < float("inf"):
            self.due = now

    def reopen(self, now: float) -> None:
        """Let everything through again."""
        if self.probe is not None:
            self.probe.probing = None
        self.probe = None
        self.due = self.blocked_at = float("inf")
        self.proven = True
        self._reopened_at = now


def lane_of(message: Message, exchange: str) -> str:
    """Name what a nack of a message would block: an event's routing key, or the exchange of anything else."""
    return message.routing_key if message.kind is _EVENT else exchange_lane(exchange)
