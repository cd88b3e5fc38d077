"""The loop from outbox to broker."""

from tms_bridge.relay.loop import Relay

__all__ = ["Relay"]
