"""The admin listener: probes, metrics, API."""

from tms_bridge.admin.app import build
from tms_bridge.admin.context import BrokerState, BrokerStatus, Bus, Context, Watchers
from tms_bridge.admin.guard import Guard, Holder
from tms_bridge.admin.server import start

__all__ = ["BrokerState", "BrokerStatus", "Bus", "Context", "Guard", "Holder", "Watchers", "build", "start"]
