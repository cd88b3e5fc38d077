"""What a message carries beside its body."""

from datetime import UTC, datetime

import msgspec
import pytest
from aiormq import spec

from tms_bridge.broker.properties import properties_of, rfc3339, short_reason
from tms_bridge.message import Kind, Message

EVENT = Message(
    id="0199a0c1-0000-7000-8000-000000000001",
    kind=Kind.EVENT,
    source="contoso",
    trigger="class",
    status="guaranteed_to_run",
    routing_key="tms.class.guaranteed_to_run",
    entity="4711",
    received_at_us=1_790_000_000_000_042,
    digest="ab" * 32,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    body=b"{}",
)

QUARANTINED = msgspec.structs.replace(
    EVENT, kind=Kind.QUARANTINE, status="", entity="", routing_key="", reason="no id", body=b"\xff"
)


def test_an_event_carries_the_properties_and_cloud_events_headers() -> None:
    assert properties_of(EVENT) == spec.Basic.Properties(
        content_type="application/json",
        headers={
            "cloudEvents_specversion": "1.0",
            "cloudEvents_id": "0199a0c1-0000-7000-8000-000000000001",
            "cloudEvents_type": "com.skillable.tms.class.guaranteed_to_run",
            "cloudEvents_source": "/tms/contoso",
            "cloudEvents_subject": "class/4711",
            "cloudEvents_time": "2026-09-21T14:13:20.000042Z",
            "cloudEvents_dataschema": "urn:tms-events:class-changed:1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tms-digest": "ab" * 32,
        },
        delivery_mode=2,
        message_id="0199a0c1-0000-7000-8000-000000000001",
        timestamp=datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        message_type="com.skillable.tms.class.guaranteed_to_run",
        app_id="tms-bridge",
    )


def test_a_replayed_event_says_so() -> None:
    headers = properties_of(msgspec.structs.replace(EVENT, replayed=True)).headers
    assert headers is not None
    assert headers["tms-replayed"] is True


def test_a_quarantined_body_carries_why_it_is_there() -> None:
    assert properties_of(QUARANTINED) == spec.Basic.Properties(
        content_type="application/octet-stream",
        headers={
            "tms-source": "contoso",
            "tms-trigger": "class",
            "tms-reason": "no id",
            "tms-digest": "ab" * 32,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        },
        delivery_mode=2,
        message_id="0199a0c1-0000-7000-8000-000000000001",
        timestamp=datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        message_type="com.skillable.tms.quarantined",
        app_id="tms-bridge",
    )


def test_instants_are_utc_to_the_microsecond() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(1_790_000_000_999_999) == "2026-09-21T14:13:20.999999Z"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("plain", "plain"), ("x" * 2000, "x" * 1024), ("\u20ac" * 400, "\u20ac" * 341), ("a\ud800b", "a?b")],
)
def test_a_reason_is_at_most_a_kilobyte_of_valid_text(reason: str, kept: str) -> None:
    assert short_reason(reason) == kept
