"""The golden messages are what the bridge makes of the sender's bodies."""

import json
from pathlib import Path

import msgspec
import pytest

from tms_bridge.broker.publisher import properties_of
from tms_bridge.ingest import Stamp, rules_of, understand
from tms_bridge.message import Message
from tms_bridge.settings.model import Source
from tms_events import StatusFrom, decode, payload_bytes
from tms_events.artefact.golden import TRACEPARENT, Golden, golden_messages

BODIES = Path(__file__).parents[2] / "examples" / "bodies"
GOLDEN = [golden for golden in golden_messages() if golden.event.payload is not None]


def understood(golden: Golden) -> Message:
    event = golden.event
    headers = golden.document()["headers"]
    received_at_us = round(event.received_at.timestamp() * 1_000_000)
    stamp = Stamp(event.id, received_at_us, headers["tms-digest"], TRACEPARENT)
    source = Source(
        allow_from=("any",), credentials=(), derive_status=event.status_from is StatusFrom.DERIVED
    )
    body = msgspec.json.encode(event.payload)
    return understand(body, rules_of(event.source, source)[event.trigger], stamp)


@pytest.mark.parametrize("golden", GOLDEN, ids=[golden.name for golden in GOLDEN])
def test_the_bridge_sends_the_golden_message(golden: Golden) -> None:
    message = msgspec.structs.replace(understood(golden), replayed=golden.replayed)
    sent, expected = properties_of(message), golden.document()
    assert expected["routing_key"] == message.routing_key
    assert expected["headers"] == sent.headers
    assert expected["properties"] == {
        "message_id": sent.message_id,
        "type": sent.message_type,
        "content_type": sent.content_type,
        "timestamp": f"{sent.timestamp:%Y-%m-%dT%H:%M:%SZ}",
        "delivery_mode": sent.delivery_mode,
        "app_id": sent.app_id,
    }
    assert golden.event == decode(message.body)
    assert msgspec.json.encode(golden.event.payload) == payload_bytes(message.body)


@pytest.mark.parametrize("path", sorted(BODIES.glob("*.json")), ids=lambda path: path.stem)
def test_the_sample_bodies_are_the_payloads_of_the_golden_messages(path: Path) -> None:
    trigger, _, status = path.stem.rpartition("-")
    event = next(golden.event for golden in GOLDEN if golden.name == f"{trigger.replace('-', '_')}.{status}")
    assert json.loads(path.read_text()) == event.payload
