"""The AsyncAPI 3 document: exchanges, routing keys and messages, and who sends and who receives them."""

from typing import Any

from tms_events import __version__, wire
from tms_events.artefact.golden import golden_messages
from tms_events.artefact.json_schema import MESSAGES, Schema, definitions
from tms_events.topics import EXCHANGE, PREFIX, STATUSES
from tms_events.trigger import Trigger

BINDING_VERSION = "0.3.0"
UNROUTABLE_EXCHANGE = "tms.unroutable"
QUARANTINE_EXCHANGE = "tms.quarantine"

DESCRIPTION = """Skillable TMS webhooks as typed messages on RabbitMQ.

Every event is delivered at least once; drop copies by `message_id`. Declare a queue of your own, bind it \
to the exchange with a pattern such as `{prefix}.class.*`, and acknowledge what you have dealt with. The \
events of one class or course assignment come in the order in which one replica of the bridge accepted them. \
Ignore members and take words that you do not know: new ones may come under the same schema."""


def document(exchange: str = EXCHANGE, prefixes: tuple[str, ...] = (PREFIX,)) -> Schema:
    """Return the whole document.

    Args:
        exchange: the topic exchange as configured.
        prefixes: every first word of routing keys that is configured.
    """
    return {
        "asyncapi": "3.0.0",
        "info": _info(prefixes[0]),
        "defaultContentType": wire.CONTENT_TYPE,
        "servers": _servers(),
        "channels": {str(trigger): _channel(trigger, exchange, prefixes) for trigger in MESSAGES}
        | {
            "unroutable": _fanout(UNROUTABLE_EXCHANGE, "Events that no queue wanted.", [*MESSAGES]),
            "quarantine": _fanout(QUARANTINE_EXCHANGE, "Bodies that no one understood.", ["quarantined"]),
        },
        "operations": _operations(),
        "components": {
            "messages": {str(trigger): _message(trigger) for trigger in MESSAGES}
            | {"quarantined": _quarantined()},
            "schemas": definitions("#/components/schemas/{name}"),
        },
    }


def _info(prefix: str) -> Schema:
    return {
        "title": "TMS Bridge",
        "version": __version__,
        "description": DESCRIPTION.format(prefix=prefix),
        "license": {"name": "Apache-2.0"},
        "tags": [{"name": "rabbitmq"}, {"name": "cloudevents"}, {"name": "skillable-tms"}],
    }


def _servers() -> Schema:
    return {
        "rabbitmq": {
            "host": "{host}:{port}",
            "pathname": "/",
            "protocol": "amqps",
            "protocolVersion": "0.9.1",
            "description": "The broker that the bridge publishes to. A consumer's user needs: configure and "
            "write on its own queue, read on its own queue and on the exchange.",
            "variables": {
                "host": {"default": "rabbitmq.example.com", "description": "Where RabbitMQ is."},
                "port": {"default": "5671", "description": "5671 with TLS, 5672 without."},
            },
        }
    }


def _channel(trigger: Trigger, exchange: str, prefixes: tuple[str, ...]) -> Schema:
    return {
        "address": f"{{prefix}}.{trigger}.{{status}}",
        "description": f"The routing keys of {trigger} events.",
        "parameters": {
            "prefix": {
                "default": prefixes[0],
                "enum": list(prefixes),
                "description": "The source's routing_key_prefix.",
            },
            "status": {
                "enum": list(STATUSES[trigger]),
                "description": "The status; unknown where nobody knows it yet. Later versions may add words.",
            },
        },
        "messages": {str(trigger): {"$ref": f"#/components/messages/{trigger}"}},
        "bindings": _exchange(exchange, "topic"),
    }


def _fanout(exchange: str, description: str, messages: list[str]) -> Schema:
    return {
        "address": exchange,
        "description": description,
        "messages": {str(name): {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": _exchange(exchange, "fanout"),
    }


def _exchange(name: str, kind: str) -> Schema:
    exchange = {"name": name, "type": kind, "durable": True, "autoDelete": False, "vhost": "/"}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDING_VERSION}}


def _operations() -> Schema:
    channels = [*map(str, MESSAGES), "unroutable", "quarantine"]
    sent = {
        f"publish_{name}": {
            "action": "send",
            "summary": "What the bridge does.",
            "channel": {"$ref": f"#/channels/{name}"},
            "bindings": _binding(deliveryMode=2, mandatory=True, timestamp=True),
        }
        for name in channels
    }
    received = {
        f"receive_{name}": {
            "action": "receive",
            "summary": "What a consumer does, through a queue of its own that is bound to the exchange.",
            "channel": {"$ref": f"#/channels/{name}"},
            "bindings": _binding(ack=True),
        }
        for name in channels
    }
    return received | sent  # readers are consumers


def _binding(**members: object) -> Schema:
    return {"amqp": {**members, "bindingVersion": BINDING_VERSION}}


def _message(trigger: Trigger) -> Schema:
    struct = MESSAGES[trigger]
    return {
        "name": struct.__name__,
        "title": (struct.__doc__ or "").splitlines()[0],
        "contentType": wire.CONTENT_TYPE,
        "headers": _headers(_event_headers(trigger), set(_FLAGS)),
        "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
        "bindings": _binding(messageType=wire.event_type(trigger, "{status}")),
        "examples": _examples(trigger),
    }


def _examples(trigger: Trigger) -> list[dict[str, Any]]:
    return [
        {"name": golden.name, "headers": message["headers"], "payload": message["body"]}
        for golden in golden_messages()
        if golden.event.trigger is trigger
        for message in [golden.document()]
    ]


def _quarantined() -> Schema:
    return {
        "name": "Quarantined",
        "title": "The raw body of a webhook that could not be understood.",
        "contentType": "application/octet-stream",
        "headers": _headers(_QUARANTINE_HEADERS, set()),
        "payload": {"type": "string", "format": "binary", "description": "The body as it came."},
        "bindings": _binding(messageType=wire.QUARANTINE_TYPE),
    }


def _headers(meanings: dict[str, str], optional: set[str]) -> Schema:
    properties = {
        name: {"type": "boolean" if name in _FLAGS else "string", "description": meaning}
        for name, meaning in meanings.items()
    }
    required = [name for name in meanings if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


_TRACEPARENT = "W3C trace context of the webhook."
_DIGEST = "BLAKE2b-256 of source, trigger and body, in hex; equal where TMS retried at another replica."


_FLAGS = (wire.REPLAYED_HEADER, wire.TEST_HEADER)


def _event_headers(trigger: Trigger) -> dict[str, str]:
    return {
        "cloudEvents_specversion": "1.0: the AMQP binding of CloudEvents in binary mode.",
        "cloudEvents_id": "The event's id, as the property message_id.",
        "cloudEvents_type": f"{wire.event_type(trigger, '{status}')}, as the property type.",
        "cloudEvents_source": "/tms/{source}",
        "cloudEvents_subject": f"{trigger}/{{entity id}}",
        "cloudEvents_time": "When the bridge first took the body in.",
        "cloudEvents_dataschema": f"{wire.data_schema(trigger)}: the $id of the body's JSON Schema.",
        "traceparent": _TRACEPARENT,
        "tms-digest": _DIGEST,
        wire.REPLAYED_HEADER: "Set, to true, where an operator sent the event again; absent otherwise.",
        wire.TEST_HEADER: "Set, to true, on an operator's test event, of entity 0 and type "
        f"{wire.CHECK_TYPE}; absent otherwise.",
    }


_QUARANTINE_HEADERS = {
    "tms-source": "The configured source.",
    "tms-trigger": "The webhook that was called.",
    "tms-reason": "Why the body could not be understood.",
    "tms-digest": _DIGEST,
    "traceparent": _TRACEPARENT,
}
