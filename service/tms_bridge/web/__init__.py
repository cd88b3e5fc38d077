"""The webhook listener."""

from tms_bridge.http.ids import EventIds
from tms_bridge.web.reception import Reception
from tms_bridge.web.record import OUTCOMES, Record
from tms_bridge.web.route import Routes
from tms_bridge.web.webhooks import Webhooks

__all__ = ["OUTCOMES", "EventIds", "Reception", "Record", "Routes", "Webhooks"]
