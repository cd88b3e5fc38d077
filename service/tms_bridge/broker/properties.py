"""What each message carries on the wire beside its body: one mapping for every publisher."""

import functools
from datetime import UTC, datetime

from aiormq import spec
from pamqp.common import FieldTable

from tms_bridge.message import Kind, Message
from tms_events.wire import APP_ID, CONTENT_TYPE, QUARANTINE_TYPE, data_schema, event_type

QUARANTINE_CONTENT_TYPE = "application/octet-stream"
PERSISTENT = 2

_REASON_BYTES = 1024


def properties_of(message: Message) -> spec.Basic.Properties:
    """Return the AMQP properties and headers of a message, as section 5 of the design has them."""
    return spec.Basic.Properties(
        content_type=content_type_of(message),
        headers={**fixed_headers(message), **varying_headers(message)},
        delivery_mode=PERSISTENT,
        message_id=message.id,
        timestamp=datetime.fromtimestamp(message.received_at_us // 1_000_000, UTC),
        message_type=type_of(message),
        app_id=APP_ID,
    )


def content_type_of(message: Message) -> str:
    """Return what the body is: our JSON, or bytes of which nobody knows."""
    return CONTENT_TYPE if message.kind is Kind.EVENT else QUARANTINE_CONTENT_TYPE


def type_of(message: Message) -> str:
    """Return the event type, which is also the CloudEvents type."""
    if message.kind is Kind.QUARANTINE:
        return QUARANTINE_TYPE
    return event_type(message.trigger, message.status)


def fixed_headers(message: Message) -> FieldTable:
    """Return the headers that all messages of one source, trigger, status and kind share."""
    headers: FieldTable = {"tms-replayed": True} if message.replayed else {}
    if message.kind is Kind.QUARANTINE:
        return headers | {"tms-source": message.source, "tms-trigger": message.trigger}
    return headers | {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_type": type_of(message),
        "cloudEvents_source": f"/tms/{message.source}",
        "cloudEvents_dataschema": data_schema(message.trigger),
    }


def varying_headers(message: Message) -> dict[str, str]:
    """Return the headers that are each message's own; every value is a string."""
    if message.kind is Kind.QUARANTINE:
        return {
            "traceparent": message.traceparent,
            "tms-digest": message.digest,
            "tms-reason": short_reason(message.reason),
        }
    return {
        "cloudEvents_id": message.id,
        "cloudEvents_subject": f"{message.trigger}/{message.entity}",
        "cloudEvents_time": rfc3339(message.received_at_us),
        "traceparent": message.traceparent,
        "tms-digest": message.digest,
    }


def rfc3339(unix_us: int) -> str:
    """Return the instant in UTC, to the microsecond."""
    seconds, microseconds = divmod(unix_us, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}Z"


@functools.lru_cache(maxsize=128)
def _second(unix_s: int) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%S}"


def short_reason(reason: str) -> str:
    """Return at most a kilobyte of the reason, as text that UTF-8 can hold."""
    return reason.encode(errors="replace")[:_REASON_BYTES].decode(errors="ignore")
