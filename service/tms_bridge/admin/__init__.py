"""The admin listener: probes, metrics, API."""

from tms_bridge.admin.app import build
from tms_bridge.admin.context import BrokerState, BrokerStatus, Context
from tms_bridge.admin.guard import Guard
from tms_bridge.admin.server import start
from tms_bridge.admin.standing import ConfigurationStanding

__all__ = ["BrokerState", "BrokerStatus", "ConfigurationStanding", "Context", "Guard", "build", "start"]
