"""The loop from outbox to broker."""

from tms_bridge.relay.loop import Relay
from tms_bridge.relay.observer import Observer, Silent

__all__ = ["Observer", "Relay", "Silent"]
