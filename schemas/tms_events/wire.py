"""What a message carries beside its body: the names of its type and schema, its properties and headers."""

from datetime import UTC, datetime
from typing import Any

from tms_events.event import Event, entity_id
from tms_events.newest import DIGEST_HEADER
from tms_events.trigger import Trigger

APP_ID = "tms-bridge"
"""The AMQP property `app_id` of every message."""

CONTENT_TYPE = "application/json"
"""The AMQP property `content_type` of every event."""

QUARANTINE_TYPE = "com.skillable.tms.quarantined"
"""The AMQP property `type` of a body that could not be understood."""

SCHEMA_VERSION = 1
"""Rises when a consumer must change; see docs/compatibility.md."""

REPLAYED_HEADER = "tms-replayed"
"""AMQP header, true on what an operator sent again; absent otherwise."""

TEST_HEADER = "tms-test"
"""AMQP header, true on what an operator sent to try the way; absent otherwise."""

CHECK_TYPE = "com.skillable.tms.check"
"""The AMQP property `type`, and the CloudEvents type, of what only tries the way: nothing happened in TMS."""


def event_type(trigger: Trigger | str, status: str) -> str:
    """Return the CloudEvents type of an event, which is also the AMQP property `type`."""
    return f"com.skillable.tms.{trigger}.{status}"


def data_schema(trigger: Trigger | str) -> str:
    """Return the stable name of the schema that the bodies of a trigger follow."""
    return f"urn:tms-events:{trigger.replace('_', '-')}-changed:{SCHEMA_VERSION}"


def properties(event: Event) -> dict[str, Any]:
    """Return the AMQP properties of an event, by their names in AMQP; the timestamp in RFC 3339."""
    return {
        "message_id": event.id,
        "type": event_type(event.trigger, event.status),
        "content_type": CONTENT_TYPE,
        "timestamp": f"{event.received_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "delivery_mode": 2,
        "app_id": APP_ID,
    }


def headers(event: Event, digest: str, traceparent: str, *, replayed: bool = False) -> dict[str, str | bool]:
    """Return the AMQP headers of an event.

    Args:
        event: what the body holds.
        digest: hex BLAKE2b-256 of source, NUL, trigger, NUL and the sender's body.
        traceparent: W3C trace context of the webhook.
        replayed: whether an operator sent it again.
    """
    return {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": event.id,
        "cloudEvents_type": event_type(event.trigger, event.status),
        "cloudEvents_source": f"/tms/{event.source}",
        "cloudEvents_subject": f"{event.trigger}/{entity_id(event)}",
        "cloudEvents_time": _rfc3339(event.received_at),
        "cloudEvents_dataschema": data_schema(event.trigger),
        "traceparent": traceparent,
        DIGEST_HEADER: digest,
    } | ({REPLAYED_HEADER: True} if replayed else {})


def _rfc3339(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
