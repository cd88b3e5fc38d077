"""The webhook listener."""

from tms_bridge.web.door import Door
from tms_bridge.web.ids import EventIds
from tms_bridge.web.reception import Reception
from tms_bridge.web.record import Record
from tms_bridge.web.route import TRIGGERS, Arrival, Digest, Route, Routes
from tms_bridge.web.webhooks import Webhooks

__all__ = [
    "TRIGGERS",
    "Arrival",
    "Digest",
    "Door",
    "EventIds",
    "Reception",
    "Record",
    "Route",
    "Routes",
    "Webhooks",
]
