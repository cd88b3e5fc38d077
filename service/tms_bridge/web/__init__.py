"""The webhook listener."""

from tms_bridge.web.access_log import AccessLog
from tms_bridge.web.sources import Routes
from tms_bridge.web.webhooks import Webhooks

__all__ = ["AccessLog", "Routes", "Webhooks"]
