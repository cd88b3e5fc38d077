"""The AsyncAPI 3 document: the exchanges that the bridge publishes to, and what it sends there."""

from importlib.metadata import version

from tms_bridge.broker.properties import QUARANTINE_CONTENT_TYPE, QUARANTINE_TYPE
from tms_bridge.cli.json_schema import MESSAGES, Schema, component_schemas
from tms_bridge.message import QUARANTINE_EXCHANGE, UNROUTABLE_EXCHANGE
from tms_events import EXCHANGE, PREFIX, STATUSES, Trigger

BINDING_VERSION = "0.3.0"

DESCRIPTION = f"""Skillable TMS webhooks as typed messages on RabbitMQ.

Events are delivered at least once. Deduplicate on `message_id`. Exchange and prefix are the defaults, \
`{EXCHANGE}` and `{PREFIX}`; a configuration may name others."""


def document() -> Schema:
    """Return the whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "TMS Bridge", "version": version("tms-events"), "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {trigger: _channel(trigger) for trigger in MESSAGES}
        | {
            "unroutable": _fanout(UNROUTABLE_EXCHANGE, "Events that no queue wanted.", list(MESSAGES)),
            "quarantine": _fanout(
                QUARANTINE_EXCHANGE, "Bodies that could not be understood.", ["quarantined"]
            ),
        },
        "operations": {
            f"publish_{name}": _operation(name) for name in (*MESSAGES, "unroutable", "quarantine")
        },
        "components": {
            "messages": {trigger: _message(trigger) for trigger in MESSAGES}
            | {"quarantined": _quarantined()},
            "schemas": component_schemas(),
        },
    }


def _channel(trigger: str) -> Schema:
    return {
        "address": f"{{prefix}}.{trigger}.{{status}}",
        "description": f"The routing keys of {trigger} events.",
        "parameters": {
            "prefix": {"default": PREFIX, "description": "The source's routing_key_prefix."},
            "status": {
                "enum": list(STATUSES[Trigger(trigger)]),
                "description": "The status; unknown where nobody knows it yet.",
            },
        },
        "messages": {trigger: {"$ref": f"#/components/messages/{trigger}"}},
        "bindings": _exchange(EXCHANGE, "topic"),
    }


def _fanout(exchange: str, description: str, messages: list[str]) -> Schema:
    return {
        "address": exchange,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": _exchange(exchange, "fanout"),
    }


def _exchange(name: str, kind: str) -> Schema:
    exchange = {"name": name, "type": kind, "durable": True, "autoDelete": False, "vhost": "/"}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDING_VERSION}}


def _operation(channel: str) -> Schema:
    binding = {"deliveryMode": 2, "mandatory": True, "timestamp": True, "bindingVersion": BINDING_VERSION}
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {"amqp": binding},
    }


def _message(trigger: str) -> Schema:
    struct = MESSAGES[trigger].__name__
    return {
        "name": struct,
        "title": (MESSAGES[trigger].__doc__ or "").splitlines()[0],
        "contentType": "application/json",
        "headers": _headers(EVENT_HEADERS, ["tms-replayed"]),
        "payload": {"$ref": f"#/components/schemas/{struct}"},
        "bindings": {"amqp": {"messageType": f"com.skillable.tms.{trigger}.<status>"}},
    }


def _quarantined() -> Schema:
    return {
        "name": "Quarantined",
        "title": "The raw body of a webhook that could not be understood.",
        "contentType": QUARANTINE_CONTENT_TYPE,
        "headers": _headers(QUARANTINE_HEADERS, []),
        "payload": {"type": "string", "format": "binary"},
        "bindings": {"amqp": {"messageType": QUARANTINE_TYPE}},
    }


def _headers(meanings: dict[str, str], optional: list[str]) -> Schema:
    properties = {
        name: {"type": "boolean" if name == "tms-replayed" else "string", "description": meaning}
        for name, meaning in meanings.items()
    }
    required = [name for name in meanings if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


EVENT_HEADERS = {
    "cloudEvents_specversion": "1.0",
    "cloudEvents_id": "The event's id, as the property message_id.",
    "cloudEvents_type": "com.skillable.tms.<trigger>.<status>, as the property type.",
    "cloudEvents_source": "/tms/<source>",
    "cloudEvents_subject": "<trigger>/<entity id>",
    "cloudEvents_time": "When the bridge first took the body in.",
    "cloudEvents_dataschema": "Names the schema of the body.",
    "traceparent": "W3C trace context.",
    "tms-digest": "BLAKE2b-256 of source, trigger and body; equal where TMS retried at another replica.",
    "tms-replayed": "True where an operator sent the event again.",
}

QUARANTINE_HEADERS = {
    "tms-source": "The configured source.",
    "tms-trigger": "The webhook that was called.",
    "tms-reason": "Why the body could not be understood.",
    "tms-digest": EVENT_HEADERS["tms-digest"],
    "traceparent": EVENT_HEADERS["traceparent"],
}
